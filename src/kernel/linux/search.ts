import { parentPort } from "node:worker_threads";
import type { FileUse } from "../kernel.ts";
import { openFiles } from "./open-files.ts";

/** The answer of the thread: what it found, or what node:fs threw. */
export type Found = { readonly uses: readonly FileUse[] } | { readonly errno: number; readonly call: string };

// The file a thread runs that looks for open files: one search at a time.
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
