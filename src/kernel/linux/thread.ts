import { parentPort } from "node:worker_threads";
import { loadFiles } from "../../libc/files.ts";

/** A call that may block. `argument` is an address: threads share it, and the caller keeps it alive. */
export type BlockingCall =
  | { readonly name: "ioctl"; readonly fd: number; readonly request: number; readonly argument: bigint }
  | { readonly name: "close"; readonly fd: number };

// The file a thread of the pool runs: one blocking call at a time, answered with its result or -errno.
const files = loadFiles();
parentPort?.on("message", (call: BlockingCall) => {
  const result =
    call.name === "close" ? files.close(call.fd) : files.ioctl(call.fd, call.request, call.argument);
  parentPort?.postMessage(result);
});
