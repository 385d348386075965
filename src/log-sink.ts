import { closeSync, constants, fstatSync, openSync, write } from "node:fs";
import { Socket } from "node:net";

/** Bytes that wait to be taken; what is beyond is dropped. */
const BACKLOG = 1024 * 1024;
/** Milliseconds until a reader that takes nothing is tried again. */
const RETRY_MS = 100;

/** pino's levels as syslog's priorities, for journald (sd-daemon(3)). */
const PRIORITIES: readonly (readonly [level: number, priority: number])[] = [
  [60, 2],
  [50, 3],
  [40, 4],
  [30, 6],
];
const DEBUG = 7;

/**
 * Where the log's lines go. Whatever becomes of them (a full disk, a closed pipe, a reader that has stopped), nobody waits
 * for it, nothing is thrown, and no thread is left in a write(2) that would keep the process from ending: what is not
 * taken is dropped and counted.
 */
export class LogSink {
  /** Lines that nobody has taken. */
  dropped = 0;
  readonly #isJournal: boolean;
  readonly #write: (text: string, done: (written: number | NodeJS.ErrnoException) => void) => void;
  #waiting: string[] = [];
  #bytes = 0;
  #isWriting = false;
  /** Dropped since the last line that was taken. */
  #unsaid = 0;
  #idle: (() => void)[] = [];

  constructor(fd: number, environment: NodeJS.ProcessEnv = process.env) {
    this.#isJournal = isJournal(fd, environment);
    this.#write = writerFor(fd);
  }

  /** One line with its end, as pino makes it. */
  write(line: string): void {
    if (this.#bytes + line.length > BACKLOG) {
      this.#drop(1);
      return;
    }
    const text = this.#isJournal ? `<${priorityOf(line)}>${line}` : line;
    this.#waiting.push(text);
    this.#bytes += text.length;
    this.#next();
  }

  /** Resolves when everything has been taken or dropped, or after so many milliseconds. */
  settled(patience: number): Promise<void> {
    return new Promise((resolve) => {
      if (!this.#isWriting) return resolve();
      const timer = setTimeout(resolve, patience);
      this.#idle.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #next(): void {
    if (this.#isWriting) return;
    const lines = this.#waiting.splice(0);
    if (lines.length === 0) {
      for (const idle of this.#idle.splice(0)) idle();
      return;
    }
    this.#isWriting = true;
    this.#send(lines.join(""), lines.length);
  }

  #send(text: string, lines: number): void {
    this.#write(text, (result) => {
      if (typeof result !== "number") {
        if (result.code === "EAGAIN") {
          setTimeout(() => this.#send(text, lines), RETRY_MS).unref();
          return;
        }
        this.#drop(lines);
      } else if (result < Buffer.byteLength(text)) {
        this.#send(Buffer.from(text).subarray(result).toString(), lines);
        return;
      } else this.#confess();
      this.#bytes = this.#waiting.reduce((sum, line) => sum + line.length, 0);
      this.#isWriting = false;
      this.#next();
    });
  }

  #drop(lines: number): void {
    this.dropped += lines;
    this.#unsaid += lines;
  }

  /** The reader is back. */
  #confess(): void {
    if (this.#unsaid === 0) return;
    const line = {
      level: 40,
      time: Date.now(),
      dropped: this.#unsaid,
      msg: "log lines were dropped: nobody took them",
    };
    this.#unsaid = 0;
    this.write(`${JSON.stringify(line)}\n`);
  }
}

/** `{"level":30,…`: pino begins every line so. */
function priorityOf(line: string): number {
  const level = Number(/^\{"level":(\d+)/.exec(line)?.[1] ?? 30);
  return PRIORITIES.find(([least]) => level >= least)?.[1] ?? DEBUG;
}

/** Whether journald reads it, as systemd.exec(5) has it of $JOURNAL_STREAM. */
function isJournal(fd: number, { JOURNAL_STREAM }: NodeJS.ProcessEnv): boolean {
  if (!JOURNAL_STREAM) return false;
  try {
    const { dev, ino } = fstatSync(fd);
    return JOURNAL_STREAM === `${dev}:${ino}`;
  } catch {
    return false;
  }
}

/**
 * A write that never blocks. The file is opened anew where that can be had: O_NONBLOCK on the descriptor that we were
 * given would be set for everybody who shares it. A socket cannot be opened, but is ours alone.
 */
function writerFor(fd: number) {
  type Done = (written: number | NodeJS.ErrnoException) => void;
  const nowhere = (_text: string, done: Done) => done(Object.assign(new Error("closed"), { code: "EBADF" }));
  let own: number;
  try {
    const kind = fstatSync(fd);
    if (kind.isSocket()) return socketWriter(fd);
    // A file on a disk is written off the event loop, and its offset is shared.
    const isWaiting = kind.isFIFO() || kind.isCharacterDevice();
    own = isWaiting ? openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK) : fd;
  } catch {
    return nowhere;
  }
  if (own !== fd) process.once("exit", () => closeSync(own));
  return (text: string, done: Done) => write(own, text, (error, written) => done(error ?? written));
}

function socketWriter(fd: number) {
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on("error", () => {});
  socket.unref();
  return (text: string, done: (written: number | NodeJS.ErrnoException) => void) => {
    if (socket.destroyed) done(Object.assign(new Error("closed"), { code: "EPIPE" }));
    else socket.write(text, (error) => done(error ?? Buffer.byteLength(text)));
  };
}
