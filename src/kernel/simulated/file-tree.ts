import { Errno } from "./errno.ts";

/** What stands at a path. A directory's children are made when they are asked for. */
export type Node =
  | { readonly kind: "directory"; names(): Iterable<string>; child(name: string): Node | undefined }
  | { readonly kind: "file"; readonly text: () => string }
  | { readonly kind: "link"; readonly target: string }
  /** `number` is "major:minor". */
  | { readonly kind: "device"; readonly number: string };

type Directory = Extract<Node, { kind: "directory" }>;

/** Linux follows this many symbolic links in one path. */
const MAX_LINKS = 40;

/** A directory of a few fixed entries; those that are undefined are not there. */
export function directory(entries: Readonly<Record<string, Node | undefined>>): Directory {
  const child = (name: string) => (Object.hasOwn(entries, name) ? entries[name] : undefined);
  return { kind: "directory", names: () => Object.keys(entries).filter(child), child };
}

/** A directory with an entry for each of `values`. */
export function directoryOf<T>(
  values: ReadonlyMap<string, T>,
  node: (value: T, name: string) => Node,
): Directory {
  const child = (name: string) => {
    const value = values.get(name);
    return value === undefined ? undefined : node(value, name);
  };
  return { kind: "directory", names: () => values.keys(), child };
}

/** A directory with more files in it, by their absolute paths; what it has itself stays as it is. */
export function withFiles(own: Directory, files: ReadonlyMap<string, string>): Directory {
  const below = new Map<string, Map<string, string>>();
  for (const [path, text] of files) {
    const [, name = "", rest = ""] = /^\/([^/]+)(.*)$/.exec(path) ?? [];
    below.set(name, (below.get(name) ?? new Map()).set(rest, text));
  }
  if (below.size === 0) return own;
  const child = (name: string) => {
    const node = own.child(name);
    const more = below.get(name);
    if (more === undefined || (node !== undefined && node.kind !== "directory")) return node;
    const text = more.get("");
    return node === undefined && text !== undefined
      ? file(() => text)
      : withFiles(node ?? directory({}), more);
  };
  return { kind: "directory", names: () => new Set([...own.names(), ...below.keys()]), child };
}

export const file = (text: () => string): Node => ({ kind: "file", text });
export const link = (target: string): Node => ({ kind: "link", target });

/**
 * Walks an absolute path, as path_resolution(7) has it; a link at its end is followed if `followLast`.
 * Throws ENOENT, ENOTDIR, ELOOP.
 */
export function lookUp(root: Directory, path: string, followLast: boolean): Node {
  const ahead = path.split("/").reverse();
  const walked: Directory[] = [];
  let node: Node = root;
  let links = 0;
  for (let name = ahead.pop(); name !== undefined; name = ahead.pop()) {
    if (node.kind !== "directory") throw new Errno("ENOTDIR");
    if (name === "" || name === ".") continue;
    if (name === "..") {
      node = walked.pop() ?? root;
      continue;
    }
    const next: Node | undefined = node.child(name);
    if (next === undefined) throw new Errno("ENOENT");
    if (next.kind === "link" && (followLast || ahead.length > 0)) {
      if (++links > MAX_LINKS) throw new Errno("ELOOP");
      ahead.push(...next.target.split("/").reverse());
      continue;
    }
    walked.push(node);
    node = next;
  }
  return node;
}
