import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import type { FileUse } from "../kernel.ts";

/** What a process that ends meanwhile, or that may not be looked into, fails with: it is nobody's evidence. */
const UNSEEN: ReadonlySet<string | undefined> = new Set([
  "ENOENT",
  "ESRCH",
  "EACCES",
  "EPERM",
  "ENOTDIR",
  "EINVAL",
]);

/** What is looked for, and what tells it: the same for every process. */
interface Sought {
  readonly prefix: string;
  /** Paths by file; none where `prefix` is no directory. */
  readonly nodes: ReadonlyMap<string, string>;
  /** The last parts of those paths. */
  readonly names: ReadonlySet<string>;
  readonly ownMounts: readonly Mount[];
}

type Mount = readonly [id: string, device: string];

function soughtBelow(prefix: string): Sought {
  const nodes = prefix.endsWith("/") ? nodesBelow(prefix) : new Map<string, string>();
  const names = new Set(Array.from(nodes.values(), (path) => basename(path)));
  return { prefix, nodes, names, ownMounts: nodes.size === 0 ? [] : mountsOf("self") };
}

/**
 * Those files below `prefix` that processes other than this one have open (proc_pid_fd(5)). Of processes that only their
 * fdinfo is shown of, and of files opened by mounts that are gone, where `prefix` is a directory: it ends with a slash.
 */
export function openFiles(prefix: string): FileUse[] {
  const pids = seen(() => readdirSync("/proc")) ?? [];
  const sought = soughtBelow(prefix);
  return pids
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const paths = new Set(openPaths(pid, sought) ?? openNodes(pid, sought));
      if (paths.size === 0) return [];
      const who = { pid: Number(pid), uid: uidOf(pid), command: commandOf(pid) };
      return [...paths].map((path) => ({ path, ...who }));
    });
}

/**
 * Where the descriptors of a process point to; undefined for those of others, to who lacks CAP_DAC_READ_SEARCH. What a
 * service has opened that has ended since, and its mounts with it, is told by its path within the mount
 * (fs/d_path.c: prepend_path), which may be anything's: the file has to be the same.
 */
function openPaths(pid: string, { prefix, nodes, names }: Sought): string[] | undefined {
  const fds = seen(() => readdirSync(`/proc/${pid}/fd`));
  // Not access(2), which looks without capabilities (fs/open.c: access_override_creds): with hidepid= it would find nobody.
  if (fds === undefined) return seen(() => statSync(`/proc/${pid}`)) ? undefined : [];
  return fds.flatMap((fd) => {
    const link = `/proc/${pid}/fd/${fd}`;
    const target = seen(() => readlinkSync(link));
    if (target?.startsWith(prefix)) return [target];
    if (!target?.startsWith("/") || !names.has(basename(target))) return [];
    const path = nodes.get(fileOf(link) ?? "");
    return path?.endsWith(target) ? [path] : [];
  });
}

/**
 * What CAP_SYS_PTRACE alone lets one see: fdinfo tells the inode, and the mount that it was opened by
 * (fs/proc/fd.c: proc_fdinfo_permission, seq_show), which is one of the process's or, if we have opened it, of ours.
 */
function openNodes(pid: string, { nodes, ownMounts }: Sought): string[] {
  if (nodes.size === 0) return [];
  const mounts = new Map([...ownMounts, ...mountsOf(pid)]);
  const fds = seen(() => readdirSync(`/proc/${pid}/fdinfo`)) ?? [];
  return fds.flatMap((fd) => {
    const info = textOf(`/proc/${pid}/fdinfo/${fd}`);
    const mount = mounts.get(/^mnt_id:\s+(\d+)$/m.exec(info)?.[1] ?? "");
    return nodes.get(`${mount} ${/^ino:\s+(\d+)$/m.exec(info)?.[1]}`) ?? [];
  });
}

/** The file systems of a process's mounts, by the mounts' numbers, which are the host's (proc_pid_mountinfo(5)). */
function mountsOf(pid: string): Mount[] {
  const lines = textOf(`/proc/${pid}/mountinfo`).matchAll(/^(\d+) \d+ (\S+) /gm);
  return Array.from(lines, ([, id = "", device = ""]) => [id, device]);
}

/** The paths of files by their file systems, as in mountinfo, and inodes. */
function nodesBelow(directory: string): Map<string, string> {
  const names = seen(() => readdirSync(directory, { recursive: true, encoding: "utf8" })) ?? [];
  return new Map(
    names.flatMap((name) => {
      const path = join(directory, name);
      const file = fileOf(path);
      return file === undefined ? [] : [[file, path] as const];
    }),
  );
}

function fileOf(path: string): string | undefined {
  const status = seen(() => statSync(path));
  return status && `${deviceName(status.dev)} ${status.ino}`;
}

/** "MAJOR:MINOR" of st_dev, by gnu_dev_major and gnu_dev_minor of the C library; both of 20 bits at most. */
function deviceName(device: number): string {
  return `${(device >> 8) & 0xfff}:${(device & 0xff) | ((device >> 12) & 0xfff00)}`;
}

/** "Uid:", and then the real, the effective, the saved and the file system's one (proc_pid_status(5)). */
function uidOf(pid: string): number {
  return Number(/^Uid:\s+\d+\s+(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0);
}

function commandOf(pid: string): string {
  return textOf(`/proc/${pid}/comm`).trimEnd();
}

function textOf(path: string): string {
  return seen(() => readFileSync(path, "utf8")) ?? "";
}

function seen<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (UNSEEN.has((error as NodeJS.ErrnoException).code)) return undefined;
    throw error;
  }
}
