// The global of that name is a getter, as slow as the question that is asked of it at each write.
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Account } from "./budget.ts";
import { PIECE, Rest } from "./rest.ts";
import { lengthOf, type Text, whole } from "./text.ts";

/** Characters that are gathered for one write. */
const WRITE_SIZE = 64 * 1024;

/**
 * What goes to one client, in order. Lines are gathered while a chunk of requests is answered, and leave in one write, or,
 * when they are large, piece by piece as the client takes them. What it has not taken yet is counted.
 */
export class Outbox {
  readonly #socket: Socket;
  readonly #account: Account;
  readonly #lineEnd: string;
  #gathered = "";
  #isGathering = false;
  #written = 0;
  /** Nothing is to be sent before all of it was. */
  #rest: Rest | undefined;
  /** Ends a wait for the client to take what it was sent. */
  #wake = () => {};
  /** Ends it if there is nothing more to wait for. */
  #wakeIfDrained = () => {};

  constructor(socket: Socket, account: Account, lineEnd: string) {
    this.#socket = socket;
    this.#account = account;
    this.#lineEnd = lineEnd;
  }

  /** Whether nothing waits for the client. */
  get isEmpty(): boolean {
    return this.#gathered === "" && this.#written === 0;
  }

  /** Whether the client has so much to take that it should be asked for nothing more. */
  get isFull(): boolean {
    return this.#rest !== undefined || this.#socket.writableNeedDrain;
  }

  /** Until {@link release}, lines wait for each other. */
  gather(): void {
    this.#isGathering = true;
  }

  /** Sends what was gathered, and what comes from now on at once. */
  release(): void {
    this.#isGathering = false;
    this.#flush();
  }

  /** One line, without its end. */
  send(line: Text): void {
    if (lengthOf(line) > PIECE) {
      const pieces = [this.#gathered, ...(typeof line === "string" ? [line] : line), this.#lineEnd];
      this.#gathered = "";
      this.#begin(pieces);
      return;
    }
    this.#gathered += whole(line) + this.#lineEnd;
    if (!this.#isGathering || this.#gathered.length >= WRITE_SIZE) this.#flush();
  }

  /** Whole lines, as they are: many clients may share them. Only when nothing waits for the client. */
  deliver(lines: Buffer): void {
    this.#flush();
    this.#write(lines, lines.length);
  }

  /** Runs `callback` once when the client has taken everything; never when the connection ends before. */
  onceEmpty(callback: () => void): void {
    if (!this.#socket.writable) return;
    // An empty write is called back after those before it.
    this.#socket.write("", (error) => {
      if (error) return;
      if (this.isEmpty) callback();
      else setImmediate(() => this.onceEmpty(callback));
    });
  }

  /** Resolves when the client has taken enough, the connection ends, or {@link wake} is called. */
  drained(isToWait: () => boolean): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      this.#wakeIfDrained = () => {
        if (!this.isFull) this.#wake();
      };
      this.#wake = () => {
        socket.off("drain", this.#wakeIfDrained).off("close", this.#wake);
        resolve();
      };
      socket.on("drain", this.#wakeIfDrained).once("close", this.#wake);
      if (!isToWait()) this.#wake();
    });
  }

  wake(): void {
    this.#wake();
  }

  /** Forgets what was gathered: nobody will take it. Returns whether all lines that were begun have been sent. */
  drop(): boolean {
    const isWhole = this.#rest === undefined;
    this.#gathered = "";
    this.#rest = undefined;
    return isWhole;
  }

  /** Gives the socket all that is left. */
  finish(): void {
    const rest = this.#rest;
    this.#rest = undefined;
    while (rest && !rest.isEmpty) this.#socket.write(rest.take());
    this.#flush();
  }

  #flush(): void {
    const text = this.#gathered;
    if (text === "" || this.#rest) return;
    this.#gathered = "";
    if (text.length <= PIECE) this.#write(text, text.length);
    else this.#begin([text]);
  }

  /** Counts as one until its last piece has gone. */
  #begin(pieces: readonly string[]): void {
    const size = lengthOf(pieces);
    this.#account.add(size);
    if (!this.#socket.writable) return;
    this.#written += size;
    if (this.#rest) {
      this.#rest.add(pieces);
      return;
    }
    this.#rest = new Rest();
    this.#rest.add(pieces);
    this.#continue(this.#rest);
  }

  #continue(rest: Rest): void {
    if (this.#rest !== rest) return;
    this.#socket.write(rest.take(), () => {
      if (!rest.isEmpty) {
        setImmediate(() => this.#continue(rest));
        return;
      }
      this.#written -= rest.size;
      this.#account.add(-rest.size);
      if (this.#rest !== rest) return;
      this.#rest = undefined;
      this.#flush();
      this.#wakeIfDrained();
    });
  }

  #write(data: string | Buffer, bytes: number): void {
    // Counting may end this very connection.
    this.#account.add(bytes);
    if (!this.#socket.writable) return;
    this.#written += bytes;
    this.#socket.write(data, typeof data === "string" ? encodingOf(data) : undefined, () => {
      this.#written -= bytes;
      this.#account.add(-bytes);
    });
  }
}

/**
 * ASCII, as nearly all text here is, has the same bytes in Latin-1. Of that Node.js knows how many there are, so up to 16 KiB are
 * written at once; for UTF-8 it makes room for three times as many as there are characters, and beyond 16 KiB of such room on
 * the heap, to be written and given back later.
 */
function encodingOf(text: string): "latin1" | "utf8" {
  return Buffer.byteLength(text) === text.length ? "latin1" : "utf8";
}
