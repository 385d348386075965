import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import type { Logger } from "pino";
import type { Parcel } from "../host/devices/handovers.ts";
import type { HostError } from "../host/errors.ts";
import type { Account, Budget } from "./budget.ts";
import type { Caller, Subscriber } from "./connection.ts";
import { type Courier, Deliveries } from "./delivery.ts";
import type { Dialect, DialectCall } from "./dialect.ts";
import type { Dispatcher } from "./dispatcher.ts";
import { Ending } from "./ending.ts";
import type { Line, Reader } from "./framing.ts";
import type { Call } from "./method.ts";
import { Outbox } from "./outbox.ts";

/** What all sessions of a server share. */
export interface SessionServices extends Omit<Call, "connection" | "slice"> {
  readonly dispatcher: Dispatcher;
  readonly budget: Budget;
  /** Undefined: no descriptors can be sent. */
  readonly courier: Courier | undefined;
  readonly log: Logger;
  /** Milliseconds that a client gets to take what is left when the session closes. */
  readonly closing: number;
  /** Tells the client why, and ends the connection. */
  refuse(socket: Socket, dialect: Dialect, reason: HostError): void;
}

/** Node.js cannot wait until a peer has read: milliseconds between two looks. */
const UNREAD_MS = 20;

/**
 * One connection, from greeting to close. Requests are executed one after the other and answered in order. Nothing is
 * read while an answer waits to be taken, so a client that does not read stops only itself.
 */
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
  readonly #ending: Ending;
  /** Resolves when the connection is over and its last request has settled. Never rejects. */
  readonly over: Promise<void>;
  /** The answering of the last lines that came. */
  #work: Promise<void> | undefined;
  #onAnswered: (() => void)[] = [];
  /** When the line under way has last grown; what stands still for too long ends. */
  #grewAt = 0;
  /** Between the first and the last request of a chunk, also while one of them has to wait. */
  #isBusy = false;
  #isClosing = false;
  #isCutOff = false;
  /** When requests that have come and not begun are dropped by a session that closes. */
  #closesAt = Number.POSITIVE_INFINITY;
  /** Bytes of the answers of a batch so far. */
  #inBatch = 0;

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
    this.#call = { ...services, slice, connection: this };
    this.#account = services.budget.open(peer.uid, (reason) => this.#cutOff(reason));
    this.#reader = dialect.reader(() => services.limits["max-request"]);
    this.#outbox = new Outbox(socket, this.#account);
    const log = services.log.child({ connection: id });
    this.#deliveries = new Deliveries(socket, services.courier, log);
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
    this.#onAnswered.push(callback);
  }

  onClose(callback: () => void): () => void {
    return this.#ending.add(callback);
  }

  enclose(parcel: Parcel): ReturnType<Deliveries["enclose"]> {
    return this.#deliveries.enclose(parcel);
  }

  /**
   * Finishes the request under way and, while that takes no longer than a client gets to read, those that have come
   * with it; sends what is left and ends the connection.
   */
  close(): void {
    this.#isClosing = true;
    this.#closesAt = performance.now() + this.#services.closing;
    this.#stopWaiting();
    if (!this.#isBusy) this.#end();
  }

  /** Ends a connection whose unfinished line has stood still for so many milliseconds. `now`: of performance.now(). */
  endIfStuck(now: number, patience: number): void {
    if (!this.#isBusy && this.#reader.isInside && now - this.#grewAt >= patience) this.#socket.destroy();
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
    await this.#work;
    this.#ending.run();
  }

  #read(chunk: Buffer): void {
    const held = this.#reader.held;
    const lines = this.#reader.push(chunk);
    this.#grewAt = performance.now();
    if (this.#reader.held !== held) this.#account.add(this.#reader.held - held);
    if (lines.length > 0) this.#work = this.#answerAll(lines);
    else if (this.#call.slice.isOver) this.#work = this.#readLater();
  }

  /** Reading is work on the line under way: of a thousand such, others must not wait for all that has come. */
  async #readLater(): Promise<void> {
    this.#socket.pause();
    await this.#call.slice.pass();
    if (!this.#isOver) this.#socket.resume();
  }

  async #finish(before: Promise<void> | undefined): Promise<void> {
    await before;
    if (this.#call.slice.isOver) await this.#call.slice.pass();
    const lines = this.#reader.finish();
    if (lines.length > 0) await this.#answerAll(lines);
    await this.#endOnceTaken();
  }

  async #answerAll(lines: readonly Line[]): Promise<void> {
    const { slice, limits } = this.#call;
    this.#isBusy = true;
    this.#outbox.gather();
    const inFlight = limits["max-in-flight"];
    for (let index = 0; index < lines.length; index++) {
      const line = lines[index] as Line;
      if (slice.isOver) await this.#pause(slice.pass());
      if (this.#isToStop()) break;
      const answer =
        index < inFlight ? this.#answer(line) : this.#services.dispatcher.refuse(line, this.#call);
      const settled = answer instanceof Promise ? await this.#pause(answer) : answer;
      this.#sendEvents();
      if (this.#deliveries.arePending) await this.#pause(this.#sendDescriptors(settled));
      else if (settled !== undefined) this.#outbox.send(settled);
      if (this.#onAnswered.length > 0) for (const callback of this.#onAnswered.splice(0)) callback();
      if (this.#outbox.isFull) await this.#pause(this.#outbox.drained(() => !this.#isOver));
    }
    slice.rest();
    this.#outbox.release();
    if (this.#outbox.isFull) await this.#pause(this.#outbox.drained(() => !this.#isOver));
    this.#outbox.release();
    this.#isBusy = false;
    if (this.#isClosing) this.#end();
    else if (!this.#isCutOff && this.#socket.isPaused()) this.#socket.resume();
  }

  /** Waits, and lets neither answers nor notifications wait with it. Nothing is read meanwhile. */
  async #pause<T>(promise: Promise<T>): Promise<T> {
    this.#socket.pause();
    this.#outbox.release();
    const result = await promise;
    this.#outbox.gather();
    return result;
  }

  #answer(line: Line): ReturnType<Dispatcher["answer"]> {
    const answer = this.#services.dispatcher.answer(line, this.#call, this.#countInBatch);
    if (!(answer instanceof Promise)) return answer;
    return answer.catch(() => undefined).finally(() => this.#countInBatch(-this.#inBatch));
  }

  /** Answers of a batch wait for its last one. Throws when the connection is over, which counting them may have done. */
  readonly #countInBatch = (bytes: number): void => {
    if (bytes === 0) return;
    this.#inBatch += bytes;
    this.#account.add(bytes);
    if (bytes > 0 && this.#isOver) throw new Error("the connection is over");
  };

  /** Events that a request has caused come before its answer, and what begins with the answer after it. */
  #sendEvents(): void {
    const events = this.#services.events.takeFor(this);
    if (events !== undefined) this.#outbox.send(events.slice(0, -1));
  }

  /** They go past the outbox: what comes before them has to have left it, the request's own events for one. */
  async #sendDescriptors(answer: string | undefined): Promise<void> {
    this.#outbox.release();
    if (this.#outbox.isFull) await this.#outbox.drained(() => !this.#isOver);
    if (this.#isOver) this.#deliveries.stopWaiting();
    await this.#deliveries.send(answer);
  }

  /** Descriptors count as on their way until the client has read them, which nobody can see of a closed socket. */
  async #endOnceTaken(): Promise<void> {
    const until = performance.now() + this.#services.closing;
    while (this.#deliveries.areUnderWay && !this.#isClosing && performance.now() < until)
      await delay(UNREAD_MS);
    this.#socket.end();
  }

  #end(): void {
    if (this.#socket.destroyed) return;
    const patience = setTimeout(() => this.#socket.destroy(), this.#services.closing);
    this.#socket.once("close", () => clearTimeout(patience));
    this.#outbox.finish();
    this.#socket.destroySoon();
  }

  /** More waits for this client than may: what does is dropped at once, and the client told why. */
  #cutOff(reason: HostError): void {
    this.#isCutOff = true;
    const isWhole = this.#outbox.drop();
    this.#reader.drop();
    this.#stopWaiting();
    this.#socket.removeAllListeners("data").removeAllListeners("end");
    // Words in the middle of another line would be none.
    if (isWhole) this.#services.refuse(this.#socket, this.dialect, reason);
    else this.#socket.destroy();
  }

  /** Neither for the client to read, nor for it to take descriptors. */
  #stopWaiting(): void {
    this.#outbox.wake();
    this.#deliveries.stopWaiting();
  }

  /** Before the next request: a session that closes answers on, but waits neither long nor for the client to read. */
  #isToStop(): boolean {
    if (this.#socket.destroyed || this.#isCutOff) return true;
    return this.#isClosing && (this.#outbox.isFull || performance.now() > this.#closesAt);
  }

  get #isOver(): boolean {
    return this.#isClosing || this.#isCutOff || this.#socket.destroyed;
  }
}
