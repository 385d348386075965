import type { PoolHost } from "../plan/fleet/pool.ts";
import type { Profile } from "../plan/fleet/profile.ts";
import { objectOf, type ReadRecord, readRecord, Unreadable } from "./record.ts";
import type { StoreChange } from "./stores/store.ts";
import { ProfileReader } from "./wire-profile.ts";

/** So many intervals without a heartbeat make a host stale. A clock may be wrong by as much, and nobody notices. */
const PATIENCE = 3;

/** So many profiles that no host has are not looked for. */
const SPARE = 64;

/** What is known of one host. */
interface Known {
  /** By the store's clock. */
  stored: number;
  record?: ReadRecord;
  /** When it stands in the host's own value. */
  profile?: Profile;
  fault?: string;
  /** Whether it was told since the thread was taken up. */
  isSeen: boolean;
}

/** What is known of one host besides. */
export interface FleetHost extends PoolHost {
  readonly digest: string | null;
  readonly published: string | null;
}

/** The hosts of a store, as told by its watch. Knows no store: what it needs it says (`missing`). */
export class Fleet {
  readonly #hosts = new Map<string, Known>();
  /** By digest; null where the store has none, or one that cannot be read. */
  readonly #profiles = new Map<string, Profile | null>();
  readonly #faults = new Map<string, string>();
  readonly #reader = new ProfileReader();
  /** What to add to this machine's clock, in milliseconds, to get the store's. */
  #offset = 0;
  /** Why nothing is heard of the store. */
  #silence: string | undefined;

  /** @param now milliseconds since 1970, by this machine's clock */
  apply(change: StoreChange, now: number): void {
    switch (change.kind) {
      case "begin":
        this.#offset = change.now - now;
        this.#silence = undefined;
        for (const known of this.#hosts.values()) known.isSeen = false;
        return;
      case "host":
        this.#hosts.set(change.host, this.#read(change.host, change.text, change.stored));
        return;
      case "gone":
        this.#hosts.delete(change.host);
        return;
      case "settled":
        for (const [host, { isSeen }] of this.#hosts) if (!isSeen) this.#hosts.delete(host);
        return;
      case "trouble":
        this.#silence = change.message;
    }
  }

  /** The digest of a profile that the host has and that is not known; undefined when nothing is missing. */
  missing(host: string): string | undefined {
    const known = this.#hosts.get(host);
    if (!known?.record || known.profile) return undefined;
    const { digest } = known.record;
    // What could not be had may be there by now.
    return this.#profiles.get(digest) ? undefined : digest;
  }

  /** What the store has under a digest. */
  addProfile(digest: string, text: string | undefined): void {
    this.#faults.delete(digest);
    try {
      if (text === undefined) throw new Unreadable("its profile is not in the store (any more)");
      const profile = this.#reader.read(objectOf(text));
      if (profile.digest !== digest) throw new Unreadable("its profile is of another digest than it says");
      this.#profiles.set(digest, profile);
    } catch (error) {
      this.#profiles.set(digest, null);
      this.#faults.set(digest, faultOf(error));
    }
    // A host has another with each guest that starts there: whoever watches has them all otherwise.
    if (this.#profiles.size > 2 * this.#hosts.size + SPARE) this.forgetUnused();
  }

  /** How many profiles are known, also of hosts that have others by now. */
  get profiles(): number {
    return this.#profiles.size;
  }

  /** Forgets profiles that no host has. */
  forgetUnused(): void {
    const used = new Set([...this.#hosts.values()].map(({ record }) => record?.digest));
    for (const digest of this.#profiles.keys()) if (!used.has(digest)) this.#profiles.delete(digest);
    for (const digest of this.#faults.keys()) if (!used.has(digest)) this.#faults.delete(digest);
  }

  get names(): string[] {
    return [...this.#hosts.keys()].sort();
  }

  /** @param now by this machine's clock */
  hosts(now: number): FleetHost[] {
    return this.names.flatMap((host) => this.host(host, now) ?? []);
  }

  host(host: string, now: number): FleetHost | undefined {
    const known = this.#hosts.get(host);
    return known && this.#told(host, known, now + this.#offset);
  }

  /** What is wrong with the store, with the fleet as a whole, and with `hosts` of it, for people. */
  troubles(now: number, hosts: readonly FleetHost[] = this.hosts(now)): string[] {
    const troubles = this.#silence === undefined ? [] : [this.#silence];
    if (Math.abs(this.#offset) > 60_000) {
      const where = this.#offset < 0 ? "ahead of" : "behind";
      troubles.push(
        `the clock of this machine is ${duration(this.#offset)} ${where} the store's; ages are by the store's`,
      );
    }
    const all = this.hosts(now);
    if (all.length > 1 && all.every(({ state }) => state === "stale")) {
      troubles.push("every host is stale: either no iovad-fleet runs, or the clock here is ahead");
    }
    for (const { host, trouble, state } of hosts) {
      if (trouble !== undefined && state !== "unreadable") troubles.push(`${host}: ${trouble}`);
      if (state === "unreadable") troubles.push(`${host} cannot be read: ${trouble}`);
    }
    return troubles;
  }

  #read(host: string, text: string, stored: number): Known {
    try {
      const value = objectOf(text);
      const record = readRecord(host, value);
      // Of the bucket's records this is undefined, of a directory's files it is not.
      const profile = value.allowed === undefined ? {} : { profile: this.#reader.read(value) };
      return { stored, record, ...profile, isSeen: true };
    } catch (error) {
      return { stored, fault: faultOf(error), isSeen: true };
    }
  }

  #told(host: string, { stored, record, profile, fault }: Known, now: number): FleetHost {
    const digest = record?.digest ?? null;
    const published = record?.published ?? null;
    const unreadable = (trouble: string): FleetHost => ({
      ...{ host, digest, published, state: "unreadable", age: null, trouble },
    });
    if (!record) return unreadable(fault ?? "there is nothing");
    const known = profile ?? this.#profiles.get(record.digest);
    if (!known) return unreadable(this.#faults.get(record.digest) ?? "its profile has not come yet");
    return { host, digest, published, profile: known, ...ageOf(record, stored, now) };
  }
}

/**
 * How old a host's word is: by its own clock and by the store's, whichever says more, for either may be wrong and a
 * copied file has only the one. Times in milliseconds, `stored` and `now` by the store's clock.
 */
export function ageOf(
  { heartbeat, interval, contested }: Pick<ReadRecord, "heartbeat" | "interval" | "contested">,
  stored: number,
  now: number,
): Pick<PoolHost, "state" | "age" | "trouble"> {
  const patience = PATIENCE * interval * 1000;
  if (heartbeat === undefined) {
    return { state: "stale", age: null, trouble: "it does not say when its heart has beaten" };
  }
  const age = Math.max(now - heartbeat, now - stored, 0) / 1000;
  const offset = heartbeat - stored;
  const isAhead = heartbeat - now > patience;
  const clock =
    Math.abs(offset) > patience
      ? `its clock is ${duration(offset)} ${offset > 0 ? "ahead of" : "behind"} the store's, or its word was copied late`
      : isAhead
        ? `its clock is ${duration(heartbeat - now)} ahead of the one here`
        : undefined;
  const rivals = contested
    ? "two iovad-fleet publish under its name: give one of them another (--name)"
    : undefined;
  const trouble = rivals ?? clock;
  // Of what is from the future by every clock nobody knows how old it is.
  const isUnknown = isAhead && stored - now > patience;
  const isStale = age * 1000 > patience || isUnknown || contested;
  return {
    state: isStale ? "stale" : "fresh",
    age: isUnknown ? null : age,
    ...(trouble === undefined ? {} : { trouble }),
  };
}

function duration(milliseconds: number): string {
  const seconds = Math.abs(milliseconds) / 1000;
  return seconds < 5400 ? `${Math.round(seconds)} s` : `${(seconds / 3600).toFixed(1)} h`;
}

function faultOf(error: unknown): string {
  return error instanceof Unreadable || error instanceof RangeError ? error.message : "it has another form";
}
