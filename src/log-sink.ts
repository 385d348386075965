import { constants, fstatSync, openSync, type Stats, write, writeSync } from "node:fs";
import { Socket } from "node:net";

/** Bytes that wait to be taken; what is beyond is dropped. */
const BACKLOG = 1024 * 1024;
/** Milliseconds until a reader that takes nothing is tried again. */
const RETRY_MS = 100;

/** The number of /dev/null (Documentation/admin-guide/devices.txt). */
const NOWHERE = 0x103;

/** pino's levels as syslog's priorities, for journald (sd-daemon(3)). */
const PRIORITIES: readonly (readonly [level: number, priority: number])[] = [
  [60, 2],
  [50, 3],
  [40, 4],
  [30, 6],
];
const DEBUG = 7;

/** Tries to write, and says, before it returns or later, how many bytes were taken, or what is in the way. Never throws. */
type Write = (bytes: Buffer, done: (result: number | NodeJS.ErrnoException) => void) => void;

/**
 * Where the log's lines go. Whatever becomes of them (a full disk, a closed pipe, a reader that has stopped), nobody waits
 * for it, nothing is thrown, and no thread is left in a write(2) that would keep the process from ending: what is not
 * taken is dropped and counted.
 */
export class LogSink {
  /** Lines that nobody has taken. */
  dropped = 0;
  readonly #isJournal: boolean;
  readonly #write: Write;
  #waiting: Buffer[] = [];
  /** Of what waits, and of what is being written. */
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
    const text = Buffer.from(this.#isJournal ? `<${priorityOf(line)}>${line}` : line);
    if (this.#bytes + text.length > BACKLOG) this.#drop(1);
    else this.#add(text);
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

  #add(text: Buffer): void {
    this.#waiting.push(text);
    this.#bytes += text.length;
    this.#next();
  }

  #next(): void {
    if (this.#isWriting) return;
    const lines = this.#waiting.splice(0);
    if (lines.length === 0) {
      for (const idle of this.#idle.splice(0)) idle();
      return;
    }
    this.#isWriting = true;
    this.#send(Buffer.concat(lines), lines.length);
  }

  #send(bytes: Buffer, lines: number): void {
    this.#write(bytes, (result) => {
      if (typeof result !== "number" && result.code === "EAGAIN") {
        setTimeout(() => this.#send(bytes, lines), RETRY_MS).unref();
        return;
      }
      const taken = typeof result === "number" ? result : bytes.length;
      this.#bytes -= taken;
      if (taken < bytes.length) {
        this.#send(bytes.subarray(taken), lines);
        return;
      }
      this.#isWriting = false;
      if (typeof result === "number") this.#confess();
      else this.#drop(lines);
      this.#next();
    });
  }

  #drop(lines: number): void {
    this.dropped += lines;
    this.#unsaid += lines;
  }

  /** The reader is back. It is told behind what has waited, however much that is. */
  #confess(): void {
    if (this.#unsaid === 0) return;
    const line = {
      level: 40,
      time: Date.now(),
      dropped: this.#unsaid,
      msg: "log lines were dropped: nobody took them",
    };
    this.#unsaid = 0;
    const text = `${JSON.stringify(line)}\n`;
    this.#add(Buffer.from(this.#isJournal ? `<${priorityOf(text)}>${text}` : text));
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

function writerFor(fd: number): Write {
  try {
    const kind = fstatSync(fd);
    if (kind.isSocket()) return socketWriter(fd);
    if (kind.isFIFO() || kind.isCharacterDevice()) return impatientWriter(fd, kind);
    // A file on a disk is written off the event loop, and its offset is shared.
    return fileWriter(fd);
  } catch {
    return (_bytes, done) => done(Object.assign(new Error("closed"), { code: "EBADF" }));
  }
}

/**
 * Of a pipe or a terminal, which may take nothing for as long as it likes. It is opened anew: O_NONBLOCK on the descriptor
 * that we were given would be set for everybody who shares it. One that another user has made cannot be opened.
 */
function impatientWriter(fd: number, kind: Stats): Write {
  try {
    const own = openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
    return kind.isFIFO() || kind.rdev === NOWHERE ? promptWriter(own) : fileWriter(own);
  } catch {
    return kind.isFIFO() ? socketWriter(fd) : fileWriter(fd);
  }
}

/**
 * Of what is known not to wait, as not every device does that is told not to. It takes no threads: to make those for the
 * first line would be a fiftieth of the daemon's start.
 */
function promptWriter(fd: number): Write {
  return (bytes, done) => {
    let at = 0;
    try {
      while (at < bytes.length) at += writeSync(fd, bytes, at);
    } catch (error) {
      // What is in the way is still there when the rest is tried.
      if (at === 0) return done(error as NodeJS.ErrnoException);
    }
    done(at);
  };
}

function fileWriter(fd: number): Write {
  return (bytes, done) => write(fd, bytes, (error, written) => done(error ?? written));
}

/** A socket cannot be opened anew, but is ours alone; libuv never waits for one, nor for a pipe. */
function socketWriter(fd: number): Write {
  const socket = new Socket({ fd, readable: false, writable: true });
  socket.on("error", () => {});
  socket.unref();
  return (bytes, done) => {
    if (socket.destroyed) done(Object.assign(new Error("closed"), { code: "EPIPE" }));
    else socket.write(bytes, (error) => done(error ?? bytes.length));
  };
}
