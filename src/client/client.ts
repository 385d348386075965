import { setTimeout as delay } from "node:timers/promises";
import { backoff } from "./backoff.ts";
import type { Answer } from "./calls.ts";
import { Connection, type ConnectionOptions, type EndReason } from "./connection.ts";
import { isLasting } from "./errors.ts";
import { type EventOptions, EventStream } from "./event-stream.ts";
import * as fault from "./faults.ts";
import { Leases } from "./leases.ts";
import type { Arguments, EventName, Greeting, MethodName, Result } from "./types.ts";

export interface ClientOptions extends Omit<ConnectionOptions, "notified" | "signal"> {
  /** Whether `dial` receives descriptors. */
  readonly descriptors: boolean;
  readonly reconnect: boolean;
  /** Told when the connection is lost and another one will be tried for. */
  readonly connectionLost: (reason: EndReason) => void;
  /** Told of each context whose lease has ended with a restart of the daemon, and why. */
  readonly leaseLost: (context: string, reason: Error) => void;
  /** Gives numbers from 0 to 1. */
  readonly random: () => number;
}

/**
 * A client of the daemon. Its requests are answered in their order: who must not wait behind a slow one of its own
 * connects twice. Calls reject with DaemonError when the daemon refuses, and with ConnectionError when there is no
 * connection; a client that reconnects has calls wait for the next one, but for those that were under way.
 */
export class Client {
  /** Settles when there is no connection and will be none: with the reason, or undefined after close() and destroy(). */
  readonly closed: Promise<EndReason | undefined>;
  readonly #options: ClientOptions;
  readonly #ending = new AbortController();
  #greeting: Greeting | undefined;
  #connection: Connection | undefined;
  /** While there is no connection: the next. */
  #next: Promise<Connection> | undefined;
  #stream: EventStream | undefined;
  /** Why there will be no connection any more. */
  #finished: EndReason | undefined;
  readonly #leases = new Leases();
  #over: (reason: EndReason | undefined) => void = () => {};

  private constructor(options: ClientOptions) {
    this.#options = options;
    this.closed = new Promise((resolve) => {
      this.#over = resolve;
    });
  }

  /** Tries once. */
  static async connect(options: ClientOptions): Promise<Client> {
    const client = new Client(options);
    client.#use(await client.#open());
    return client;
  }

  /** Of the latest connection. */
  get greeting(): Greeting {
    return this.#greeting as Greeting;
  }

  async call<Name extends MethodName>(method: Name, ...[params]: Arguments<Name>): Promise<Result<Name>> {
    return (await this.request(method, params)) as Result<Name>;
  }

  /** A method that this version may not know, and whose types nobody knows. */
  async request(method: string, params?: object): Promise<unknown> {
    const { result } = await this.#request(method, params, false);
    this.#leases.answered(method, params);
    return result;
  }

  /**
   * Of a client that was connected for descriptors: the answer with what came along, `iommufd` and then `device` for
   * hand-over-device. They are close-on-exec, and the caller's to close.
   */
  async callForDescriptors<Name extends MethodName>(
    method: Name,
    ...[params]: Arguments<Name>
  ): Promise<{ result: Result<Name>; fds: readonly number[] }> {
    if (!this.#options.descriptors) throw new TypeError("this takes connect({ descriptors: true })");
    const { result, fds } = await this.#request(method, params, true);
    return { result: result as Result<Name>, fds };
  }

  /**
   * Subscribes. A connection has one subscription: a second stream takes the end of the first (`break`, `return()`), or
   * a client of its own.
   */
  events<Name extends EventName = EventName>(options: EventOptions<Name> = {}): EventStream<Name> {
    if (this.#stream && !this.#stream.isOver)
      throw new TypeError("this client has a stream of events already");
    const ask = async (method: string, params: object) => {
      if (!this.#connection) throw fault.closedHere();
      return (await this.#connection.request(method, params, false)).result;
    };
    const stream = new EventStream<Name>(ask, options, this.#stream);
    this.#stream = stream as unknown as EventStream;
    if (this.#connection) stream.connected();
    if (this.#ending.signal.aborted) stream.end();
    else if (this.#finished) stream.end(this.#finished);
    return stream;
  }

  /** Resolves when everything that was asked has been answered and the connection is at its end. */
  async close(): Promise<void> {
    this.#stream?.end();
    const connection = this.#connection;
    this.#ending.abort();
    await connection?.close();
    await this.closed;
  }

  /** Drops the connection, with whatever is under way on it. */
  destroy(): void {
    this.#stream?.end();
    this.#ending.abort();
    this.#connection?.destroy();
  }

  #request(method: string, params: object | undefined, wantsDescriptors: boolean): Promise<Answer> {
    if (this.#connection) return this.#connection.request(method, params, wantsDescriptors);
    const next = this.#next ?? Promise.reject(fault.closedHere());
    return next.then((connection) => connection.request(method, params, wantsDescriptors));
  }

  #open(): Promise<Connection> {
    const { signal } = this.#ending;
    return Connection.open({ ...this.#options, signal, notified: (event) => this.#stream?.receive(event) });
  }

  /** What a new connection has to be told before anything else, it is told here. */
  #use(connection: Connection): void {
    this.#connection = connection;
    this.#greeting = connection.greeting;
    // Requests are answered in their order, so what follows already finds the leases taken up.
    const ask = (method: string, params: object) => connection.request(method, params, false);
    void this.#leases.resume(ask, this.#options.leaseLost);
    void connection.ended.then((reason) => this.#lost(reason));
    this.#stream?.connected();
  }

  #lost(reason: EndReason): void {
    this.#connection = undefined;
    if (this.#ending.signal.aborted || !this.#options.reconnect || isLasting(reason)) this.#finish(reason);
    else {
      // Before anybody is told: who then asks has to wait for it.
      this.#next = this.#reconnect();
      this.#next.catch((error: EndReason) => this.#finish(error));
      this.#options.connectionLost(reason);
    }
  }

  /** Rejects with what another try does not mend. */
  async #reconnect(): Promise<Connection> {
    const { signal } = this.#ending;
    for (const wait of backoff(this.#options.random)) {
      await delay(wait, undefined, { signal }).catch(() => {
        throw fault.closedHere();
      });
      try {
        const connection = await this.#open();
        if (signal.aborted) connection.destroy();
        this.#use(connection);
        return connection;
      } catch (error) {
        if (isLasting(error)) throw error;
      }
    }
    throw fault.closedHere();
  }

  #finish(reason: EndReason): void {
    this.#finished = reason;
    const isWanted = this.#ending.signal.aborted;
    this.#next = Promise.reject(isWanted ? fault.closedHere() : reason);
    this.#next.catch(() => {});
    this.#stream?.end(isWanted ? undefined : reason);
    this.#over(isWanted ? undefined : reason);
  }
}
