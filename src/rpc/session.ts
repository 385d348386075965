import type { Socket } from "node:net";
import { setTimeout as delay, setImmediate as nextTurn } from "node:timers/promises";
import { createJSONRPCErrorResponse, createJSONRPCNotification, type JSONRPCError } from "json-rpc-2.0";
import type { Logger } from "pino";
import type { Passage } from "../host/devices/handed-over-devices.ts";
import type { Parcel } from "../host/devices/handovers.ts";
import { Delivery } from "./delivery.ts";
import { lineTooLong, parseError, toErrorObject, tooManyInFlight } from "./errors.ts";
import { type Line, LineReader, NOT_UTF8, TOO_LONG } from "./framing.ts";
import type { Answer, JsonRpc } from "./jsonrpc.ts";
import type { Call, Caller, Connection, DaemonInfo } from "./method.ts";

export interface SessionLimits {
  /** Bytes in one line of a client. */
  readonly request: number;
  /** Requests that may have come and wait to be answered; a batch is one. */
  readonly inFlight: number;
  /** Bytes of notifications that may wait for a client that does not read; the rest it misses. */
  readonly queue: number;
  /** Milliseconds that a client gets to take what is left when the session closes. */
  readonly closing: number;
}

/** How long one session may keep the event loop before the others get a turn, in milliseconds. */
const TURN_MS = 2;
/** Node.js cannot wait until a peer has read: milliseconds between two looks. */
const UNREAD_MS = 20;
/** Characters of answers that are gathered for one write. */
const WRITE_SIZE = 64 * 1024;

/**
 * One connection, from greeting to close. Requests are executed one after the other and answered in order. Nothing is
 * read while an answer waits to be taken, so a client that does not read stops only itself.
 */
export class Session implements Connection {
  readonly id: number;
  readonly peer: Caller;
  readonly #socket: Socket;
  readonly #rpc: JsonRpc;
  readonly #limits: SessionLimits;
  readonly #log: Logger;
  #callbacks: Set<() => void> | undefined = new Set();
  /** Lines gathered for the next write. */
  #out = "";
  /** The loop over a chunk is running: what is sent now is written together with its answers. */
  #gathering = false;
  /** Between the first and the last request of a chunk, also while one of them has to wait. */
  #busy = false;
  #closing = false;
  /** When requests that have come and not begun are dropped by a session that closes. */
  #closesAt = Number.POSITIVE_INFINITY;
  /** What is left of its turn, in milliseconds: small requests in many chunks take no more than many in one. */
  #turn = TURN_MS;
  /** What goes with the answer to the request under way. */
  #delivery: Delivery | undefined;
  /** What went with the last answer that had such. */
  #passage: Passage | undefined;
  /** Ends the wait for the client to read. */
  #wake = () => {};

  constructor(id: number, socket: Socket, peer: Caller, rpc: JsonRpc, limits: SessionLimits, log: Logger) {
    this.id = id;
    this.peer = peer;
    this.#socket = socket;
    this.#rpc = rpc;
    this.#limits = limits;
    this.#log = log;
  }

  onClose(callback: () => void): () => void {
    if (this.#callbacks) this.#callbacks.add(callback);
    else this.#tell(callback);
    return () => this.#callbacks?.delete(callback);
  }

  #tell(callback: () => void): void {
    try {
      callback();
    } catch (err) {
      this.#log.error({ connection: this.id, err }, "cleaning up after a connection failed");
    }
  }

  notify(method: string, params: object): boolean {
    if (this.#socket.writableLength + this.#out.length > this.#limits.queue) return false;
    this.#send(JSON.stringify(createJSONRPCNotification(method, params)));
    if (!this.#gathering) this.#flush();
    return true;
  }

  enclose(parcel: Parcel): Passage {
    this.#delivery ??= new Delivery(this.#socket);
    this.#passage = this.#delivery;
    this.#delivery.add(parcel);
    return this.#delivery;
  }

  onceDrained(callback: () => void): void {
    // The answers that are being gathered come before; an empty write is called back after those before it.
    setImmediate(() => {
      if (this.#socket.writable) this.#socket.write("", (error) => error ?? callback());
    });
  }

  /** Serves until the connection is over and its last request has settled. Never rejects. */
  async run(services: Omit<Call, "connection">): Promise<void> {
    const socket = this.#socket;
    const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
    // A reset may come at any time, also while nothing reads.
    socket.on("error", (error) => this.#log.debug({ connection: this.id, err: error }, "connection failed"));
    this.notify("greeting", greeting(services.daemon));
    try {
      await this.#serve({ ...services, connection: this });
    } catch (error) {
      this.#log.debug({ connection: this.id, err: error }, "connection ended early");
    }
    if (this.#closing) this.#end();
    else await this.#endOnceTaken();
    await closed;
    const callbacks = this.#callbacks ?? [];
    this.#callbacks = undefined;
    for (const callback of callbacks) this.#tell(callback);
  }

  /** Descriptors count as on their way until the client has read them, which nobody can see of a closed socket. */
  async #endOnceTaken(): Promise<void> {
    const until = performance.now() + this.#limits.closing;
    while (this.#passage?.isUnderWay && !this.#closing && performance.now() < until) await delay(UNREAD_MS);
    this.#socket.end();
  }

  /**
   * Finishes the request under way and, while that takes no longer than a client gets to read, those that have come
   * with it; sends what is left and ends the connection.
   */
  close(): void {
    this.#closing = true;
    this.#closesAt = performance.now() + this.#limits.closing;
    this.#wake();
    // A session that waits for input is woken by its end; one that is busy sees the flag after the request under way.
    if (!this.#busy) this.#end();
  }

  #end(): void {
    if (this.#socket.destroyed) return;
    const patience = setTimeout(() => this.#socket.destroy(), this.#limits.closing);
    this.#socket.once("close", () => clearTimeout(patience));
    this.#socket.destroySoon();
  }

  async #serve(call: Call): Promise<void> {
    const reader = new LineReader(this.#limits.request);
    // The iterator reads on only when asked to; it must not close the side that still has answers to send.
    for await (const chunk of this.#socket.iterator({ destroyOnReturn: false })) {
      await this.#answerAll(reader.push(chunk), call);
      if (this.#over()) return;
    }
    await this.#answerAll(reader.finish(), call);
  }

  async #answerAll(lines: readonly Line[], call: Call): Promise<void> {
    let turnEnds = performance.now() + this.#turn;
    this.#busy = true;
    this.#gathering = true;
    let came = 0;
    for (const line of lines) {
      const answer = came++ < this.#limits.inFlight ? this.#answer(line, call) : this.#refuse(line);
      const text = answer instanceof Promise ? await this.#pause(answer) : answer;
      if (this.#delivery) await this.#pause(this.#deliver(this.#delivery, text));
      else if (text !== undefined) this.#send(text);
      if (this.#out.length >= WRITE_SIZE) this.#flush();
      if (this.#socket.writableNeedDrain) await this.#pause(this.#drained());
      if (performance.now() > turnEnds) {
        await this.#pause(nextTurn());
        turnEnds = performance.now() + TURN_MS;
      }
      if (this.#isToStop()) break;
    }
    this.#turn = turnEnds - performance.now();
    this.#gathering = false;
    this.#flush();
    if (this.#socket.writableNeedDrain) await this.#drained();
    this.#busy = false;
  }

  /** Waits, and lets neither answers nor notifications wait with it. */
  async #pause<T>(promise: Promise<T>): Promise<T> {
    this.#flush();
    this.#gathering = false;
    const result = await promise;
    this.#gathering = true;
    return result;
  }

  #answer(line: Line, call: Call): Answer {
    if (line === TOO_LONG) return failure(lineTooLong(this.#limits.request));
    if (line === NOT_UTF8) return failure(parseError("the line is not valid UTF-8"));
    return this.#rpc.answer(line, call);
  }

  /** Nothing is read before everything has been answered, so what came together is all that is in flight. */
  #refuse(line: Line): string | undefined {
    const error = tooManyInFlight(this.#limits.inFlight);
    return typeof line === "string" ? this.#rpc.refuse(line, error) : failure(toErrorObject(error));
  }

  /** Sends an answer that carries descriptors. A connection that cannot take it is of no more use. */
  async #deliver(delivery: Delivery, answer: string | undefined): Promise<void> {
    this.#delivery = undefined;
    const patience = new AbortController();
    this.#wake = () => patience.abort();
    if (this.#over()) this.#wake();
    try {
      await delivery.send(answer, patience.signal);
    } catch (err) {
      this.#log.warn(
        { connection: this.id, err },
        "descriptors could not be handed over; connection cut off",
      );
      this.#socket.destroy();
    }
  }

  /** Before the next request: a session that closes answers on, but waits neither long nor for the client to read. */
  #isToStop(): boolean {
    const { destroyed, writableNeedDrain } = this.#socket;
    return destroyed || (this.#closing && (writableNeedDrain || performance.now() > this.#closesAt));
  }

  #over(): boolean {
    return this.#closing || this.#socket.destroyed;
  }

  #send(text: string): void {
    this.#out += `${text}\n`;
  }

  #flush(): void {
    if (this.#out === "") return;
    const text = this.#out;
    this.#out = "";
    if (!this.#socket.writable) return;
    this.#socket.write(text);
  }

  /** Settles also when the connection ends or is to end. */
  #drained(): Promise<void> {
    const socket = this.#socket;
    return new Promise((resolve) => {
      this.#wake = () => {
        socket.off("drain", this.#wake).off("close", this.#wake);
        resolve();
      };
      socket.once("drain", this.#wake).once("close", this.#wake);
      if (this.#over()) this.#wake();
    });
  }
}

function failure(error: JSONRPCError): string {
  const { code, message, data } = error;
  return JSON.stringify(createJSONRPCErrorResponse(null, code, message, data));
}

function greeting({ name, version, protocol, backend }: DaemonInfo) {
  return { service: name, version, protocol, backend };
}
