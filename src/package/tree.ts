import { chmodSync, lutimesSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** A file of a package; `path` is from the root of the system, without a slash in front. */
export interface TreeFile {
  readonly path: string;
  /** A string may instead be what a symbolic link points to. */
  readonly content: string | Buffer;
  readonly kind: "file" | "executable" | "link";
}

/** Seconds since 1970 of a Debian changelog's newest entry. @throws Error when it has no date */
export function dateOf(changelog: string): number {
  const date = Date.parse(/^ -- .*> {2}(.*)$/m.exec(changelog)?.[1] ?? "");
  if (Number.isNaN(date)) throw new Error("the changelog's newest entry has no date");
  return date / 1000;
}

/** Writes the files below a directory, with modes that no umask changes and all of one `time`, in seconds since 1970. */
export function writeTree(directory: string, files: readonly TreeFile[], time: number): void {
  for (const { path, content, kind } of files) {
    const file = join(directory, path);
    mkdirSync(dirname(file), { recursive: true });
    if (kind === "link") symlinkSync(String(content), file);
    else {
      writeFileSync(file, content);
      chmodSync(file, kind === "executable" ? 0o755 : 0o644);
    }
  }
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) chmodSync(path, 0o755);
  }
  // What is inside first: to write a file changes its directory's time.
  for (const entry of entries.reverse()) lutimesSync(join(entry.parentPath, entry.name), time, time);
  chmodSync(directory, 0o755);
  lutimesSync(directory, time, time);
}
