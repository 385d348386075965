import { backoff } from "../client/backoff.ts";
import type { Client, Result } from "../client/index.ts";
import { type HostRecord, objectOf, RECORD_VERSION, readRecord } from "./record.ts";
import type { FleetStore, WireProfile } from "./stores/store.ts";

type HostProfile = Result<"query-host-profile">;

export interface PublisherOptions {
  readonly host: string;
  /** Seconds between two heartbeats. */
  readonly interval: number;
  /** Random, of this process. */
  readonly publisher: string;
  readonly client: Pick<Client, "call" | "events">;
  /** Opens the store; asked again after it has rejected. */
  readonly openStore: () => Promise<FleetStore>;
  /** Told of every profile that is another than the last, and again after it has rejected. */
  readonly changed: (profile: HostProfile) => Promise<void>;
  readonly say: (message: string) => void;
  /** Milliseconds since 1970. */
  readonly clock: () => number;
  /** Gives numbers from 0 to 1. */
  readonly random: () => number;
}

/** Milliseconds from an event to the look at what it has changed: events come in bursts. */
const DEBOUNCE = 50;
/** Milliseconds after which a store is asked again whether it has the profile, whole: it forgets, and may be damaged. */
const RENEWAL = 600 * 1000;
/** How long a good-bye may take, in milliseconds. */
const GOODBYE = 3000;

/**
 * Publishes a host's profile: at once, when it has changed, and with every heartbeat the record that says it still
 * holds. While the daemon does not answer nothing is published, so that the host becomes stale.
 */
export class Publisher {
  readonly #options: PublisherOptions;
  #store: FleetStore | undefined;
  #last: HostRecord | undefined;
  /** The digest that `changed` was told last. */
  #told: string | undefined;
  #renewed = 0;
  /** What is being told or published; never rejects. */
  #underWay: Promise<unknown> = Promise.resolve();
  #due = 0;
  /** Until when another publisher of the name is taken to be there. */
  #contestedUntil = 0;
  #fault: string | undefined;
  #wake: () => void = () => {};
  #isWoken = false;
  /** Since a failure: the next try comes when it is time, not once more in vain for each event of a burst. */
  #isPatient = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
  }

  /** Until the signal, and then it takes the host out of the store. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#ring(), { once: true });
    void this.#listen();
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    let waits = backoff(this.#options.random);
    while (!signal.aborted) {
      this.#isWoken = false;
      this.#isPatient = false;
      // A daemon or a store that does not answer keeps nobody from ending this.
      const wait = await Promise.race([this.#round(signal), aborted])
        .then(() => {
          // Of a round that is cut short nobody knows how it would have ended.
          if (signal.aborted) return 0;
          waits = backoff(this.#options.random);
          this.#tell(undefined);
          return Math.max(this.#due - this.#options.clock(), 0);
        })
        .catch((error: Error) => {
          this.#tell(error.message);
          this.#isPatient = true;
          this.#isWoken = signal.aborted;
          return waits.next().value;
        });
      await this.#rung(wait);
    }
    await this.#leave();
  }

  /** One look at the profile, and what it takes to have the store say the same. Once it is to end it begins nothing more. */
  async #round(signal: AbortSignal): Promise<void> {
    const { host, client, clock } = this.#options;
    const profile = await client.call("query-host-profile", { host });
    if (signal.aborted) return;
    const last = this.#last;
    const isNew = last?.digest !== profile.digest || last.instance !== profile.instance;
    const telling = this.#tellChange(profile);
    this.#underWay = telling;
    const fault = await telling;
    if (signal.aborted) return;
    if (isNew || clock() >= this.#due) {
      this.#store ??= await this.#options.openStore();
      if (signal.aborted) return this.#store.close();
      const publishing = this.#publish(profile, this.#store, isNew);
      this.#underWay = publishing.catch(() => undefined);
      await publishing;
    }
    // Only now: what cannot be told here is no reason to be silent there.
    if (fault) throw fault;
  }

  /** Resolves to what went wrong. */
  async #tellChange(profile: HostProfile): Promise<unknown> {
    if (this.#told === profile.digest) return undefined;
    try {
      await this.#options.changed(profile);
      this.#told = profile.digest;
      return undefined;
    } catch (error) {
      return error;
    }
  }

  async #publish(told: HostProfile, store: FleetStore, isNew: boolean): Promise<void> {
    const { host, interval, publisher, clock, random, say } = this.#options;
    const { host: _, instance, sequence, ...profile } = told;
    const isLost = await this.#lookForOthers(store);
    const now = clock();
    const renew = isNew || isLost || now - this.#renewed > RENEWAL;
    const heartbeat = new Date(now).toISOString();
    const published = this.#last?.digest === profile.digest && !isLost ? this.#last.published : heartbeat;
    const record: HostRecord = {
      ...{ version: RECORD_VERSION, host, digest: profile.digest, instance, sequence },
      ...{ published, heartbeat, interval, publisher },
      ...(now < this.#contestedUntil ? { contested: true } : {}),
    };
    await store.publish(record, profile as WireProfile, renew);
    if (renew) this.#renewed = now;
    if (isNew || isLost) say(`published ${host} at ${store.place}: profile ${profile.digest.slice(0, 12)}`);
    this.#last = record;
    // A little early, and never all the hosts of a fleet at once.
    this.#due = now + interval * 1000 * (0.85 + 0.1 * random());
  }

  /** Whether what was published is not there any more. Says so, and when it is another publisher's. */
  async #lookForOthers(store: FleetStore): Promise<boolean> {
    const { host, interval, publisher, clock, say } = this.#options;
    if (!this.#last) return false;
    const found = await store.read(host);
    if (!found) {
      say(`${store.place} has lost ${host}: it is published again`);
      return true;
    }
    const other = publisherOf(host, found.text);
    const now = clock();
    if (other === publisher) {
      if (this.#contestedUntil > 0 && now >= this.#contestedUntil) {
        this.#contestedUntil = 0;
        say(`nobody else publishes under the name ${host} any more`);
      }
      return false;
    }
    if (this.#contestedUntil === 0) {
      say(`another iovad-fleet publishes under the name ${host}: give one of them another (--name)`);
    }
    this.#contestedUntil = now + 3 * interval * 1000;
    return false;
  }

  /** Takes what it has published out again, unless it is another's by now. */
  async #leave(): Promise<void> {
    const { host, publisher, say } = this.#options;
    const store = this.#store;
    const goodbye = async () => {
      // What is under way would else come after it.
      await this.#underWay;
      const found = this.#last && (await store?.read(host));
      if (found && publisherOf(host, found.text) === publisher) await store?.remove(host);
    };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error("the store does not answer")), GOODBYE);
    });
    await Promise.race([goodbye(), late]).catch((error: Error) => {
      if (store) say(`${host} stays in the store, and will be stale there: ${error.message}`);
    });
    clearTimeout(timer);
    await store?.close().catch(() => {});
  }

  /** Every event may be one that changes the profile; which do, the next look tells. */
  async #listen(): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    try {
      for await (const _ of this.#options.client.events()) {
        timer ??= setTimeout(() => {
          timer = undefined;
          if (!this.#isPatient) this.#ring();
        }, DEBOUNCE);
      }
    } catch {
      // Whoever made the client hears of its end.
    }
    clearTimeout(timer);
  }

  /** Each trouble once, and its end. */
  #tell(fault: string | undefined): void {
    if (fault === this.#fault) return;
    this.#options.say(fault ?? "all is well again");
    this.#fault = fault;
  }

  #ring(): void {
    this.#isWoken = true;
    this.#wake();
  }

  #rung(milliseconds: number): Promise<void> {
    if (this.#isWoken) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

function publisherOf(host: string, text: string): string | undefined {
  try {
    return readRecord(host, objectOf(text)).publisher;
  } catch {
    return undefined;
  }
}
