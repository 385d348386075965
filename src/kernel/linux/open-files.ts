import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { parentPort } from "node:worker_threads";
import type { FileUse } from "../kernel.ts";

/** The answer of the thread: what it found, or what node:fs threw. */
export type Found = { readonly uses: readonly FileUse[] } | { readonly errno: number; readonly call: string };

/** What a process that ends meanwhile, or that may not be looked into, fails with: it is nobody's evidence. */
const UNSEEN: ReadonlySet<string | undefined> = new Set([
  "ENOENT",
  "ESRCH",
  "EACCES",
  "EPERM",
  "ENOTDIR",
  "EINVAL",
]);

/**
 * Those files below `prefix` that processes other than this one have open (proc_pid_fd(5)). Of processes that only their
 * fdinfo is shown of, where `prefix` is a directory: it ends with a slash.
 */
export function openFiles(prefix: string): FileUse[] {
  const pids = seen(() => readdirSync("/proc")) ?? [];
  let nodes: ReadonlyMap<string, string> | undefined;
  return pids
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      let paths = openPaths(pid)?.filter((path) => path.startsWith(prefix));
      if (paths === undefined) {
        nodes ??= prefix.endsWith("/") ? nodesBelow(prefix) : new Map();
        paths = openNodes(pid, nodes);
      }
      if (paths.length === 0) return [];
      const who = { pid: Number(pid), uid: uidOf(pid), command: commandOf(pid) };
      return paths.map((path) => ({ path, ...who }));
    });
}

/** Where the descriptors of a process point to; undefined for those of others, to who lacks CAP_DAC_READ_SEARCH. */
function openPaths(pid: string): string[] | undefined {
  const fds = seen(() => readdirSync(`/proc/${pid}/fd`));
  if (fds === undefined) return existsSync(`/proc/${pid}`) ? undefined : [];
  return [...new Set(fds.flatMap((fd) => seen(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? []))];
}

/**
 * What CAP_SYS_PTRACE alone lets one see: fdinfo tells the inode, and the mount that it was opened by
 * (fs/proc/fd.c: proc_fdinfo_permission, seq_show).
 */
function openNodes(pid: string, nodes: ReadonlyMap<string, string>): string[] {
  if (nodes.size === 0) return [];
  const mounts = new Map(
    Array.from(textOf(`/proc/${pid}/mountinfo`).matchAll(/^(\d+) \d+ (\S+) /gm), ([, id, device]) => [
      id,
      device,
    ]),
  );
  const fds = seen(() => readdirSync(`/proc/${pid}/fdinfo`)) ?? [];
  const paths = fds.flatMap((fd) => {
    const info = textOf(`/proc/${pid}/fdinfo/${fd}`);
    const mount = mounts.get(/^mnt_id:\s+(\d+)$/m.exec(info)?.[1]);
    return nodes.get(`${mount} ${/^ino:\s+(\d+)$/m.exec(info)?.[1]}`) ?? [];
  });
  return [...new Set(paths)];
}

/** The paths of files by their file systems, as in mountinfo, and inodes. */
function nodesBelow(directory: string): Map<string, string> {
  const names = seen(() => readdirSync(directory, { recursive: true, encoding: "utf8" })) ?? [];
  return new Map(
    names.flatMap((name) => {
      const path = join(directory, name);
      const status = seen(() => statSync(path));
      return status === undefined ? [] : [[`${deviceName(status.dev)} ${status.ino}`, path] as const];
    }),
  );
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

// The file a thread runs: one search at a time.
parentPort?.on("message", (prefix: string) => {
  let found: Found;
  try {
    found = { uses: openFiles(prefix) };
  } catch (error) {
    const { errno, syscall } = error as NodeJS.ErrnoException;
    if (errno === undefined || syscall === undefined) throw error;
    found = { errno: -errno, call: syscall };
  }
  parentPort?.postMessage(found);
});
