import { setTimeout as delay } from "node:timers/promises";
import { type JetStreamClient, jetstream } from "@nats-io/jetstream";
import { type KV, Kvm } from "@nats-io/kv";
import type { NatsConnection } from "@nats-io/transport-node";
import { backoff } from "../../client/backoff.ts";
import type { HostRecord } from "../record.ts";
import { connectToNats, type NatsOptions, places } from "./nats-connection.ts";
import { isNoBucket, isTimeout, saidOf, unlessNoBucket } from "./nats-faults.ts";
import { watchBucket } from "./nats-watch.ts";
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
      const text = JSON.stringify(profile);
      const known = await profiles.get(profile.digest);
      // Of whichever of the two clocks is wrong: what seems to be from the future may be old.
      const isYoung = known !== null && Math.abs(Date.now() - known.created.getTime()) < LIFETIME / 2;
      if (!isYoung || known.string() !== text) await profiles.put(profile.digest, text);
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
        this.#needConnection();
        for await (const change of watchBucket(this.#jetstream, HOSTS, signal, (end) => this.#atTurns(end))) {
          if (change.kind === "settled") waits = backoff(this.#random);
          yield change;
        }
        if (signal.aborted) return;
        yield { kind: "trouble", message: `the thread to ${this.place} is lost: all is asked for again` };
      } catch (error) {
        if (signal.aborted) return;
        yield { kind: "trouble", message: saidOf(error, this.place).message };
        await this.#elsewhere();
      }
      await delay(waits.next().value, undefined, { signal }).catch(() => {});
    }
  }

  /** What is done when the connection is lost or found again; gives back how to forget it. */
  #atTurns(turn: () => void): () => void {
    this.#turns.add(turn);
    return () => this.#turns.delete(turn);
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
      return await this.#unlessCut(work());
    } catch (error) {
      if (isTimeout(error)) await this.#elsewhere();
      throw saidOf(error, this.place);
    }
  }

  /** Instead of waiting for an answer that cannot come. */
  #needConnection(): void {
    if (!this.#isConnected) throw this.#cut();
  }

  /** Likewise of what is under way: the client would wait for five seconds. */
  async #unlessCut<T>(work: Promise<T>): Promise<T> {
    let forget = () => {};
    const cut = new Promise<never>((_, reject) => {
      forget = this.#atTurns(() => reject(this.#cut()));
    });
    try {
      return await Promise.race([work, cut]);
    } finally {
      forget();
    }
  }

  #cut(): StoreError {
    return new StoreError(`the connection to ${this.place} is lost; it is tried again`);
  }

  /** A server of a cluster that is cut off answers no more: another may. */
  async #elsewhere(): Promise<void> {
    if (this.#options.servers.length > 1 && !this.#connection.isClosed()) {
      await this.#connection.reconnect().catch(() => {});
    }
  }
}
