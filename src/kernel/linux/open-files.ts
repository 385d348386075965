import { readdirSync, readFileSync, readlinkSync } from "node:fs";
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

/** Those files below `prefix` that processes other than this one have open (proc_pid_fd(5)). */
export function openFiles(prefix: string): FileUse[] {
  const pids = seen(() => readdirSync("/proc")) ?? [];
  return pids
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      const fds = seen(() => readdirSync(`/proc/${pid}/fd`)) ?? [];
      const paths = new Set(fds.flatMap((fd) => seen(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? []));
      const found = [...paths].filter((path) => path.startsWith(prefix));
      if (found.length === 0) return [];
      const who = { pid: Number(pid), uid: uidOf(pid), command: commandOf(pid) };
      return found.map((path) => ({ path, ...who }));
    });
}

/** "Uid:", and then the real, the effective, the saved and the file system's one (proc_pid_status(5)). */
function uidOf(pid: string): number {
  const status = seen(() => readFileSync(`/proc/${pid}/status`, "utf8")) ?? "";
  return Number(/^Uid:\s+\d+\s+(\d+)/m.exec(status)?.[1] ?? 0);
}

function commandOf(pid: string): string {
  return seen(() => readFileSync(`/proc/${pid}/comm`, "utf8"))?.trimEnd() ?? "";
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
