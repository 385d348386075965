import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import { monotonic } from "../clock.ts";
import type { Parcel } from "../host/devices/handovers.ts";
import type { HostError } from "../host/errors.ts";
import { Answering } from "./answering.ts";
import type { Account, Budget } from "./budget.ts";
import type { Caller, Subscriber } from "./connection.ts";
import { type Courier, Deliveries } from "./delivery.ts";
import type { Dialect, DialectCall } from "./dialect.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { Ending } from "./ending.ts";
import type { Line, Reader } from "./framing.ts";
import { LastRequest } from "./last-request.ts";
import type { LineTurns } from "./line-turns.ts";
import type { Call } from "./method.ts";
import { Outbox } from "./outbox.ts";

/** What all sessions of a server share. */
export interface SessionServices extends Omit<Call, "connection" | "slice"> {
  readonly dispatcher: Dispatcher;
  readonly budget: Budget;
  readonly turns: LineTurns;
  /** Undefined: no descriptors can be sent. */
  readonly courier: Courier | undefined;
  readonly log: Logger;
  /** Milliseconds that a client gets to take what is left when the session closes. */
  readonly closing: number;
  /** Tells the client why, and ends the connection. */
  refuse(socket: Socket, dialect: Dialect, reason: HostError): void;
}

/** Bytes that are cut into lines at a time: in 64 KiB, which come at a time, there can be 30,000. */
const PORTION = 8192;

/** Node.js cannot wait until a peer has read: milliseconds between two looks. */
const UNREAD_MS = 20;

/** One connection, from greeting to close. */
export class Session implements Subscriber {
  readonly id: number;
  readonly peer: Caller;
  readonly dialect: Dialect;
  readonly #socket: Socket;
  readonly #services: SessionServices;
  readonly #call: DialectCall;
  readonly #account: Account;
  readonly #reader: Reader;
  readonly #outbox: Outbox;
  readonly #deliveries: Deliveries;
  readonly #answering: Answering;
  readonly #ending: Ending;
  /** Resolves when the connection is over and its last request has settled. Never rejects. */
  readonly over: Promise<void>;
  /** The answering of the last lines that came. */
  #work: Promise<void> | undefined;
  /** When the line under way has last grown; what stands still for too long ends. */
  #grewAt = 0;
  #isClosing = false;

  constructor(
    id: number,
    socket: Socket,
    peer: Caller,
    dialect: Dialect,
    slice: Call["slice"],
    services: SessionServices,
  ) {
    this.id = id;
    this.peer = peer;
    this.dialect = dialect;
    this.#socket = socket;
    this.#services = services;
    this.#call = { ...services, slice, connection: this, last: new LastRequest() };
    this.#account = services.budget.open(peer.uid, (reason) => this.#cutOff(reason));
    this.#reader = dialect.reader(() => services.limits["max-request"]);
    this.#outbox = new Outbox(socket, this.#account, dialect.lineEnd);
    const log = services.log.child({ connection: id });
    this.#deliveries = new Deliveries(socket, services.courier, log);
    this.#answering = new Answering({
      ...{ socket, call: this.#call, dispatcher: services.dispatcher },
      ...{
        account: this.#account,
        turns: services.turns,
        outbox: this.#outbox,
        deliveries: this.#deliveries,
      },
    });
    this.#ending = new Ending(log);
    this.over = this.#run();
  }

  get isReady(): boolean {
    return this.#outbox.isEmpty;
  }

  deliver(lines: Buffer): void {
    this.#outbox.deliver(lines);
  }

  onceReady(callback: () => void): void {
    this.#outbox.onceEmpty(callback);
  }

  onceAnswered(callback: () => void): void {
    this.#answering.onceAnswered(callback);
  }

  onClose(callback: () => void): () => void {
    return this.#ending.add(callback);
  }

  enclose(parcel: Parcel): ReturnType<Deliveries["enclose"]> {
    return this.#deliveries.enclose(parcel);
  }

  /**
   * Reads no more. Finishes the request under way and, while that takes no longer than a client gets to read, those that
   * have come with it; then the client is told of events, and nothing else, until {@link close}.
   */
  finish(): Promise<void> {
    this.#isClosing = true;
    this.#socket.pause();
    const until = monotonic() + this.#services.closing;
    return new Promise((resolve) => this.#answering.finish(until, resolve));
  }

  /** Sends what is left of a session that has finished, and ends the connection. */
  close(): void {
    if (this.#socket.destroyed) return;
    const patience = setTimeout(() => this.#socket.destroy(), this.#services.closing);
    this.#socket.once("close", () => clearTimeout(patience));
    this.#answering.sendEvents();
    this.#outbox.finish();
    this.#socket.destroySoon();
  }

  /** Ends a connection whose unfinished line has stood still for so many milliseconds. `now`: of monotonic(). */
  endIfStuck(now: number, patience: number): void {
    if (!this.#answering.isBusy && this.#reader.isInside && now - this.#grewAt >= patience)
      this.#socket.destroy();
  }

  async #run(): Promise<void> {
    const socket = this.#socket;
    const { daemon, events, log } = this.#services;
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    // A reset may come at any time, also while nothing reads.
    socket.on("error", (error) => log.debug({ connection: this.id, err: error }, "connection failed"));
    this.#outbox.send(this.dialect.greeting(daemon, events.sequence));
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    // A paused socket reports its end all the same.
    socket.on("end", () => {
      this.#work = this.#finish(this.#work);
    });
    await closed;
    this.#account.close();
    this.#answering.stop();
    await this.#work;
    this.#ending.run();
  }

  #read(chunk: Buffer): void {
    this.#grewAt = monotonic();
    if (this.#answering.isBusy) {
      // What has come while the socket was paused comes out of it at once. It waits there until the chunk before is answered.
      this.#socket.pause();
      this.#socket.unshift(chunk);
      return;
    }
    // What has come behind it must not be cut before. It reads on when it is answered.
    if (chunk.length > PORTION) this.#socket.pause();
    this.#work = this.#answering.all(this.#portions(chunk));
  }

  *#portions(chunk: Buffer): Generator<Line[], void, undefined> {
    for (let at = 0; at < chunk.length; at += PORTION) yield this.#cut(chunk.subarray(at, at + PORTION));
  }

  #cut(portion: Buffer): Line[] {
    const { held } = this.#reader;
    const lines = this.#reader.push(portion);
    if (this.#reader.held !== held) this.#account.add(this.#reader.held - held);
    return lines;
  }

  async #finish(before: Promise<void> | undefined): Promise<void> {
    await before;
    if (this.#call.slice.isOver) await this.#call.slice.pass();
    // What ends with the connection has not begun by the end of the server.
    const lines = this.#isClosing ? [] : this.#reader.finish();
    if (lines.length > 0) await this.#answering.all([lines]);
    await this.#endOnceTaken();
  }

  /** Descriptors count as on their way until the client has read them, which nobody can see of a closed socket. */
  async #endOnceTaken(): Promise<void> {
    const until = monotonic() + this.#services.closing;
    while (this.#deliveries.areUnderWay && !this.#isClosing && monotonic() < until) await delay(UNREAD_MS);
    this.#socket.end();
  }

  /** More waits for this client than may: what does is dropped at once, and the client told why. */
  #cutOff(reason: HostError): void {
    const isWhole = this.#outbox.drop();
    this.#reader.drop();
    this.#answering.stop();
    this.#socket.removeAllListeners("data").removeAllListeners("end");
    // Words in the middle of another line would be none.
    if (isWhole) this.#services.refuse(this.#socket, this.dialect, reason);
    else this.#socket.destroy();
  }
}
