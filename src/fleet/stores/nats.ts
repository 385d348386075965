import { setTimeout as delay } from "node:timers/promises";
import {
  AckPolicy,
  DeliverPolicy,
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JsMsg,
  jetstream,
} from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import { type NatsConnection, nanos } from "@nats-io/transport-node";
import { backoff } from "../../client/backoff.ts";
import type { HostRecord } from "../record.ts";
import { connectToNats, type NatsOptions, places } from "./nats-connection.ts";
import {
  type FleetStore,
  type StoreChange,
  type StoredValue,
  StoreError,
  type WireProfile,
} from "./store.ts";

const HOSTS = "iovad-hosts";
const PROFILES = "iovad-profiles";

/** Milliseconds that a profile is kept which nobody renews: hosts change, and what they were is of no use. */
const LIFETIME = 24 * 3600 * 1000;

/** What tells that the server has lost the thread of a watch. */
const LOST: ReadonlySet<string> = new Set([
  "heartbeats_missed",
  "stream_not_found",
  "consumer_not_found",
  "consumer_deleted",
  "ordered_consumer_recreated",
]);

/** NATS JetStream's key-value buckets: hosts by name, and profiles by digest, for hosts that are alike have one. */
export class NatsStore implements FleetStore {
  readonly place: string;
  readonly #connection: NatsConnection;
  readonly #jetstream: JetStreamClient;
  readonly #options: NatsOptions;
  readonly #random: () => number;
  readonly #buckets = new Map<string, Promise<KV>>();
  /** What to tell when the connection is lost or found again. */
  readonly #turns = new Set<() => void>();
  #isConnected = true;

  private constructor(connection: NatsConnection, options: NatsOptions, random: () => number) {
    this.#connection = connection;
    this.#jetstream = jetstream(connection);
    this.#options = options;
    this.#random = random;
    this.place = places(options.servers);
    void this.#listen();
  }

  async #listen(): Promise<void> {
    for await (const { type } of this.#connection.status()) {
      if (type !== "disconnect" && type !== "reconnect") continue;
      this.#isConnected = type === "reconnect";
      for (const turn of this.#turns) turn();
    }
  }

  /** Rejects with StoreError. */
  static async connect(options: NatsOptions, random: () => number): Promise<NatsStore> {
    return new NatsStore(await connectToNats(options, random), options, random);
  }

  async publish(record: HostRecord, profile: WireProfile, renew: boolean): Promise<void> {
    await this.#do(async () => {
      // First, so that whoever reads the record finds it.
      if (renew) await this.#putProfile(profile);
      const text = JSON.stringify(record);
      await this.#inBucket(HOSTS, (hosts) => hosts.put(record.host, text));
    });
  }

  async #putProfile(profile: WireProfile): Promise<void> {
    await this.#inBucket(PROFILES, async (profiles) => {
      const known = await profiles.get(profile.digest);
      const isYoung = known !== null && Date.now() - known.created.getTime() < LIFETIME / 2;
      if (!isYoung) await profiles.put(profile.digest, JSON.stringify(profile));
    });
  }

  read(host: string): Promise<StoredValue | undefined> {
    return this.#do(async () => {
      const entry = await (await this.#bucket(HOSTS, false)).get(host).catch(unlessNoBucket);
      if (entry?.operation !== "PUT") return undefined;
      return { text: entry.string(), stored: entry.created.getTime() };
    });
  }

  remove(host: string): Promise<void> {
    return this.#do(async () => {
      await (await this.#bucket(HOSTS, false)).delete(host).catch(unlessNoBucket);
    });
  }

  profile(digest: string): Promise<string | undefined> {
    return this.#do(async () => {
      // A digest from a faulty record may be no key at all.
      if (!/^[-/=.\w]+$/.test(digest)) return undefined;
      // Of whichever copy is nearest, and where that is behind, of the first.
      for (const direct of [true, false]) {
        const entry = await (await this.#bucket(PROFILES, direct)).get(digest).catch(unlessNoBucket);
        if (entry?.operation === "PUT") return entry.string();
      }
      return undefined;
    });
  }

  async *watch(signal: AbortSignal): AsyncIterable<StoreChange> {
    let waits = backoff(this.#random);
    while (!signal.aborted) {
      try {
        for await (const change of this.#watchOnce(signal)) {
          if (change.kind === "settled") waits = backoff(this.#random);
          yield change;
        }
        if (signal.aborted) return;
        yield { kind: "trouble", message: `the thread to ${this.place} is lost: all is asked for again` };
      } catch (error) {
        if (signal.aborted) return;
        yield { kind: "trouble", message: this.#said(error).message };
        await this.#elsewhere();
      }
      await delay(waits.next().value, undefined, { signal }).catch(() => {});
    }
  }

  /** What there is and what changes, until the thread is lost. */
  async *#watchOnce(signal: AbortSignal): AsyncIterable<StoreChange> {
    this.#needConnection();
    const prefix = `$KV.${HOSTS}.`;
    const consumer = await this.#jetstream.consumers.getPushConsumer(`KV_${HOSTS}`, {
      filter_subjects: `${prefix}>`,
      deliver_policy: DeliverPolicy.LastPerSubject,
      ack_policy: AckPolicy.None,
      flow_control: true,
      idle_heartbeat: nanos(2000),
    } as Parameters<JetStreamClient["consumers"]["getPushConsumer"]>[1]);
    const { created, num_pending: pending } = await consumer.info(true);
    const queue = new Queue<StoreChange>(signal);
    let isSettled = pending === 0;
    const isEmpty = isSettled;
    const messages = await consumer.consume({
      callback: (message: JsMsg) => {
        queue.push(changeOf(message, message.subject.slice(prefix.length)));
        if (!isSettled && message.info.pending === 0) {
          isSettled = true;
          queue.push({ kind: "settled" });
        }
      },
    });
    const end = () => queue.end();
    this.#turns.add(end);
    void (async () => {
      for await (const { type } of messages.status()) if (LOST.has(type)) end();
      end();
    })();
    try {
      yield { kind: "begin", now: new Date(created).getTime() };
      if (isEmpty) yield { kind: "settled" };
      yield* queue;
    } finally {
      this.#turns.delete(end);
      messages.stop();
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** A bucket that is there or not: only who writes makes it. */
  #bucket(name: string, direct: boolean): Promise<KV> {
    const key = `${name} ${direct}`;
    const known = this.#buckets.get(key) ?? new Kvm(this.#jetstream).open(name, { allow_direct: direct });
    this.#buckets.set(key, known);
    known.catch(() => this.#buckets.delete(key));
    return known;
  }

  /** Makes the bucket when it is missing, and has another try. */
  async #inBucket(name: string, work: (bucket: KV) => Promise<unknown>): Promise<void> {
    const bucket = await this.#bucket(name, false);
    try {
      await work(bucket);
    } catch (error) {
      if (!isNoBucket(error)) throw error;
      await new Kvm(this.#jetstream).create(name, {
        history: 1,
        replicas: this.#options.replicas,
        allow_direct: true,
        ...(name === PROFILES ? { ttl: LIFETIME } : {}),
      });
      await work(bucket);
    }
  }

  async #do<T>(work: () => Promise<T>): Promise<T> {
    this.#needConnection();
    try {
      return await work();
    } catch (error) {
      if (isTimeout(error)) await this.#elsewhere();
      throw this.#said(error);
    }
  }

  /** Instead of waiting for an answer that cannot come. */
  #needConnection(): void {
    if (!this.#isConnected)
      throw new StoreError(`the connection to ${this.place} is lost; it is tried again`);
  }

  /** A server of a cluster that is cut off answers no more: another may. */
  async #elsewhere(): Promise<void> {
    if (this.#options.servers.length > 1 && !this.#connection.isClosed()) {
      await this.#connection.reconnect().catch(() => {});
    }
  }

  #said(error: unknown): StoreError {
    if (error instanceof StoreError) return error;
    const { message } = error as Error;
    if (isNoBucket(error)) {
      return new StoreError(
        `no host has published at ${this.place}, or it has no JetStream (nats-server -js)`,
      );
    }
    if (isTimeout(error)) return new StoreError(`${this.place} does not answer`);
    return new StoreError(`${this.place}: ${message}`);
  }
}

function changeOf(message: JsMsg, host: string): StoreChange {
  const operation = message.headers?.get("KV-Operation");
  if (operation === "DEL" || operation === "PURGE") return { kind: "gone", host };
  return { kind: "host", host, text: message.string(), stored: message.info.timestampNanos / 1e6 };
}

/** A put where no stream listens is taken by the client for a server without JetStream. */
function isNoBucket(error: unknown): boolean {
  const { name, message } = error as Error;
  if (error instanceof JetStreamApiError) return error.code === JetStreamApiCodes.StreamNotFound;
  return (
    name === "NoRespondersError" || /stream not found|no responders|jetstream is not enabled/i.test(message)
  );
}

function isTimeout(error: unknown): boolean {
  return (error as Error).name === "TimeoutError" || /timeout/i.test((error as Error).message);
}

function unlessNoBucket(error: unknown): null {
  if (!isNoBucket(error)) throw error;
  return null;
}

/** What one side pushes and the other reads, until its end. */
class Queue<T> implements AsyncIterable<T> {
  #items: T[] = [];
  #isOver = false;
  #wake: () => void = () => {};

  constructor(signal: AbortSignal) {
    signal.addEventListener("abort", () => this.end(), { once: true });
    if (signal.aborted) this.end();
  }

  push(item: T): void {
    this.#items.push(item);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const items = this.#items;
      this.#items = [];
      yield* items;
      if (this.#items.length > 0) continue;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
