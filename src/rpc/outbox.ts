import type { Socket } from "node:net";
import type { Account } from "./budget.ts";

/** Characters that are gathered for one write. */
const WRITE_SIZE = 64 * 1024;

/**
 * What goes to one client, in order. Lines are gathered while a chunk of requests is answered, and leave in one write;
 * what the client has not taken yet is counted.
 */
export class Outbox {
  readonly #socket: Socket;
  readonly #account: Account;
  #gathered = "";
  #isGathering = false;
  #written = 0;
  /** Ends a wait for the client to take what it was sent. */
  #wake = () => {};

  constructor(socket: Socket, account: Account) {
    this.#socket = socket;
    this.#account = account;
  }

  /** Whether nothing waits for the client. */
  get isEmpty(): boolean {
    return this.#gathered === "" && this.#written === 0;
  }

  /** Whether the client has so much to take that it should be asked for nothing more. */
  get isFull(): boolean {
    return this.#socket.writableNeedDrain;
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
  send(line: string): void {
    this.#gathered += `${line}\n`;
    if (!this.#isGathering || this.#gathered.length >= WRITE_SIZE) this.#flush();
  }

  /** Whole lines, as they are: many clients may share them. */
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
      this.#wake = () => {
        socket.off("drain", this.#wake).off("close", this.#wake);
        resolve();
      };
      socket.once("drain", this.#wake).once("close", this.#wake);
      if (!isToWait()) this.#wake();
    });
  }

  wake(): void {
    this.#wake();
  }

  /** Forgets what was gathered: nobody will take it. */
  drop(): void {
    this.#gathered = "";
  }

  #flush(): void {
    const text = this.#gathered;
    if (text === "") return;
    this.#gathered = "";
    this.#write(text, text.length);
  }

  #write(data: string | Buffer, bytes: number): void {
    // Counting may end this very connection.
    this.#account.add(bytes);
    if (!this.#socket.writable) return;
    this.#written += bytes;
    this.#socket.write(data, () => {
      this.#written -= bytes;
      this.#account.add(-bytes);
    });
  }
}
