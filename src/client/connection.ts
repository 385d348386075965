import { setTimeout as delay } from "node:timers/promises";
import type { JSONRPCResponse } from "json-rpc-2.0";
import { PROTOCOL, SERVICE } from "../rpc/protocol.ts";
import { SUN_PATH } from "../uapi/socket.ts";
import { type Answer, Calls, closeAll } from "./calls.ts";
import { type ConnectionError, DaemonError } from "./errors.ts";
import * as fault from "./faults.ts";
import { Lines, type Received } from "./lines.ts";
import { isEvent, isNotification, type Notification, parseMessage } from "./messages.ts";
import type { Dial, Transport } from "./transport.ts";
import type { Greeting } from "./types.ts";

export interface ConnectionOptions {
  readonly path: string;
  readonly dial: Dial;
  /** Bytes of the longest line that is taken. */
  readonly maxLine: number;
  /** Milliseconds until the greeting must have come. */
  readonly patience: number;
  readonly notified: (notification: Notification) => void;
  /** When it is aborted, the greeting is waited for no longer. */
  readonly signal: AbortSignal;
}

/** Why a connection is over. */
export type EndReason = ConnectionError | DaemonError;

/** Bytes of the longest greeting: who listens there may be anybody, and say anything for as long as it likes. */
const MAX_GREETING = 64 * 1024;

/** Milliseconds between two tries to get into a queue that is full. */
const RETRY = 10;

/** One connection, from its greeting to its end. */
export class Connection {
  /** Settles when it is over; never rejects. */
  readonly ended: Promise<EndReason>;
  readonly #options: ConnectionOptions;
  readonly #lines: Lines;
  readonly #calls: Calls;
  #transport: Transport | undefined;
  #greeting: Greeting | undefined;
  #failure: EndReason | undefined;
  /** What the daemon has said to nobody, before it hung up. */
  #lastWord = "";
  #isClosing = false;
  #parting: NodeJS.Timeout | undefined;
  #greeted = () => {};
  #over: (reason: EndReason) => void = () => {};

  private constructor(options: ConnectionOptions) {
    this.#options = options;
    this.#lines = new Lines(() => this.#longestLine);
    this.#calls = new Calls((text) => this.#transport?.write(text));
    this.ended = new Promise((resolve) => {
      this.#over = resolve;
    });
  }

  /** Resolves when the daemon has greeted. Rejects with DaemonError when it lets nobody in, or ConnectionError. */
  static async open(options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(options);
    const greeted = new Promise<void>((resolve) => {
      connection.#greeted = resolve;
    });
    const silence = setTimeout(() => connection.#end(fault.silent(options)), options.patience);
    const drop = () => connection.destroy();
    options.signal.addEventListener("abort", drop, { once: true });
    try {
      await connection.#dial();
      await Promise.race([greeted, connection.ended]);
    } finally {
      clearTimeout(silence);
      options.signal.removeEventListener("abort", drop);
    }
    if (connection.#failure) throw connection.#failure;
    return connection;
  }

  get #longestLine(): number {
    const { maxLine } = this.#options;
    return this.#greeting ? maxLine : Math.min(maxLine, MAX_GREETING);
  }

  get greeting(): Greeting {
    return this.#greeting as Greeting;
  }

  /** As Calls.request: with the reason for the end when it is over. Sends nothing behind the end that close() has sent. */
  request(method: string, params: object | undefined, wantsDescriptors: boolean): Promise<Answer> {
    if (this.#isClosing) return Promise.reject(fault.closedHere());
    return this.#calls.request(method, params, wantsDescriptors);
  }

  /** Resolves when the daemon has answered what it was sent, and has ended, too, or has had the time to. */
  async close(): Promise<void> {
    this.#isClosing = true;
    this.#transport?.end();
    this.#part();
    await this.ended;
  }

  /** When everything is answered, nobody is waited for any longer than for a greeting. */
  #part(): void {
    if (!this.#isClosing || this.#failure || !this.#calls.isIdle) return;
    this.#parting ??= setTimeout(() => this.destroy(), this.#options.patience);
  }

  /** Drops everything that is under way. */
  destroy(): void {
    this.#isClosing = true;
    this.#end(this.#closed());
  }

  async #dial(): Promise<void> {
    const { path, dial } = this.#options;
    // Node.js would cut it off and try that.
    if (Buffer.byteLength(path) >= SUN_PATH) throw fault.longPath(this.#options, SUN_PATH - 1);
    const sink = {
      received: (bytes: Buffer, fds: readonly number[]) => this.#receive(this.#lines.push(bytes, fds)),
      ended: (error?: Error) => this.#end(this.#closed(error)),
    };
    while (!this.#failure) {
      try {
        this.#transport = await dial(path, sink);
        break;
      } catch (error) {
        // The queue of those who wait to be let in is full (connect(2)): the one thing that passes by itself.
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN")
          throw fault.unreachable(this.#options, error as Error);
        await delay(RETRY);
      }
    }
    if (this.#failure) this.#transport?.destroy();
  }

  #receive(lines: readonly Received[]): void {
    for (const received of lines) {
      if (this.#failure) closeAll(received.fds);
      else this.#take(received);
    }
  }

  #take({ line, fds }: Received): void {
    const message = parseMessage(line);
    if (message && !isNotification(message)) {
      if (!this.#calls.receive(message, fds)) this.#unasked(message);
      this.#part();
      return;
    }
    closeAll(fds);
    if (typeof line === "object") this.#end(fault.tooLong(this.#options, this.#longestLine));
    else if (!message) this.#end(this.#nonsense());
    else if (this.#greeting && isEvent(message)) this.#options.notified(message);
    else if (this.#greeting) this.#end(this.#nonsense());
    else this.#greet(message);
  }

  #greet({ method, params }: Notification): void {
    const greeting = params as Greeting;
    if (method !== "greeting" || greeting?.service !== SERVICE) this.#end(this.#nonsense());
    else if (greeting.protocol !== PROTOCOL) {
      this.#end(fault.otherProtocol(this.#options, greeting.protocol, PROTOCOL));
    } else {
      this.#greeting = greeting;
      this.#greeted();
    }
  }

  /** Who is not let in gets an error without a request; so does who is about to be cut off. */
  #unasked({ id, error }: JSONRPCResponse): void {
    if (id !== null || !error) this.#end(this.#nonsense());
    else if (this.#greeting) this.#lastWord = error.message;
    else this.#end(new DaemonError(error));
  }

  #nonsense(): ConnectionError {
    return this.#greeting ? fault.garbage(this.#options) : fault.stranger(this.#options);
  }

  #end(reason: EndReason): void {
    if (this.#failure) return;
    this.#failure = reason;
    clearTimeout(this.#parting);
    this.#transport?.destroy();
    closeAll(this.#lines.leftOver());
    this.#calls.fail(reason);
    this.#over(reason);
  }

  #closed(error?: Error): ConnectionError {
    return this.#isClosing ? fault.closedHere() : fault.closedThere(this.#options, this.#lastWord, error);
  }
}
