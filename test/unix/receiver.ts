import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** What a receiver got in one line of the stream. */
export interface Received {
  readonly text: string;
  /** Of each descriptor that came by the end of the line and after the line before: its target in /proc, and whether an exec closes it. */
  readonly fds: readonly { readonly target: string; readonly closesOnExec: boolean }[];
}

const compiled = new URL("../../dist/client/descriptor-socket.js", import.meta.url).href;

const PROGRAM = `
import { readFileSync, readlinkSync, writeSync } from "node:fs";
import { DescriptorSocket } from ${JSON.stringify(compiled)};
const [, path, delay, send, reply] = process.argv;
const flags = (fd) => parseInt(/flags:\\s*(\\d+)/.exec(readFileSync("/proc/self/fdinfo/" + fd, "utf8"))[1], 8);
const show = (fd) => ({ target: readlinkSync("/proc/self/fd/" + fd), closesOnExec: (flags(fd) & 0o2000000) !== 0 });
const print = (bytes) => { while (bytes.length > 0) bytes = bytes.subarray(writeSync(1, bytes)); };
let hasReplied = !reply;
let text = "";
let fds = [];
const socket = DescriptorSocket.connect(path, {
  received(bytes, came) {
    text += bytes.toString();
    fds.push(...came.map(show));
    for (let end = text.indexOf("\\n"); end >= 0; end = text.indexOf("\\n")) {
      print(Buffer.from(JSON.stringify({ text: text.slice(0, end), fds }) + "\\n"));
      text = text.slice(end + 1);
      fds = [];
      if (!hasReplied) socket.write(reply);
      hasReplied = true;
    }
  },
  ended() {},
});
if (send) socket.write(send);
// Nothing is read meanwhile.
Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, Number(delay));
`;

/** A process that reads lines, and descriptors with them, through the built client's socket. */
export class Receiver {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  /** Begins to read after `delay` milliseconds, having sent `send`; sends `reply` when it has read a line. */
  constructor(path: string, { delay = 0, send = "", reply = "" } = {}) {
    this.process = spawn(
      process.execPath,
      ["--input-type=module", "--eval", PROGRAM, path, String(delay), send, reply],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const { stdout } = this.process;
    if (!stdout) throw new Error("no stdout");
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  /** The next line, or undefined at the end of the stream. */
  async next(): Promise<Received | undefined> {
    const { value, done } = await this.#lines.next();
    return done ? undefined : JSON.parse(value);
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const exited = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await exited;
  }
}
