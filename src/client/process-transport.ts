import { spawn } from "node:child_process";
import { once } from "node:events";
import type { Dial } from "./transport.ts";

/** What the process says of itself when it fails; of more, the last of it. In bytes. */
const LAST_WORDS = 4096;

/**
 * Milliseconds without a word after which the end of the process is the end: what it leaves behind, as ssh does with
 * ControlPersist, may keep its streams open for as long as it likes.
 */
const GRACE = 1000;

/** `iovactl proxy` on another host ends with it when the daemon's socket may not be opened. */
const NO_PERMISSION = 4;

/**
 * By a process that speaks for the daemon over its standard streams, such as `ssh HOST iovactl proxy`. It gets the end
 * of its input when the transport ends, and SIGTERM when it is dropped.
 */
export function dialProcess([program, ...args]: readonly [string, ...string[]]): Dial {
  return async (_path, sink) => {
    const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
    let words = "";
    let isDropped = false;
    let grace: NodeJS.Timeout | undefined;
    child.stderr.on("data", (bytes) => {
      words = (words + bytes).slice(-LAST_WORDS);
      grace?.refresh();
    });
    child.stdout.on("data", (bytes: Buffer) => {
      grace?.refresh();
      sink.received(bytes, []);
    });
    child.once("exit", () => {
      grace = setTimeout(() => {
        for (const stream of [child.stdout, child.stderr]) stream.destroy();
      }, GRACE);
    });
    // Its end of the pipe is gone: what it has to say about that comes with its own end.
    child.stdin.on("error", () => {});
    child.once("close", (status) => {
      clearTimeout(grace);
      if (!isDropped) sink.ended(status === 0 ? undefined : failure(program, status, words));
    });
    await once(child, "spawn");
    // A signal that may not be sent: what sudo has started is another user's, and ends with its input.
    child.on("error", () => {});
    return {
      write: (text) => void child.stdin.write(text),
      end: () => void child.stdin.end(),
      destroy() {
        isDropped = true;
        child.stdin.destroy();
        child.kill("SIGTERM");
      },
    };
  };
}

/** The last line is the reason; what ssh says before are notes. */
function failure(program: string, status: number | null, words: string): Error {
  const reason = words
    .trim()
    .split("\n")
    .at(-1)
    ?.trim()
    .replace(/^iovactl: /, "");
  const error = new Error(reason || `${program} has ended with status ${status}`);
  return status === NO_PERMISSION ? Object.assign(error, { code: "EACCES" }) : error;
}
