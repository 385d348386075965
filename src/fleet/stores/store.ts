import type { HostRecord } from "../record.ts";

/** A profile as query-host-profile tells it, without what is the host's own: host, instance, sequence. */
export type WireProfile = { readonly digest: string } & Readonly<Record<string, unknown>>;

/** A value as it stands in a store. */
export interface StoredValue {
  readonly text: string;
  /** When it was written, in milliseconds since 1970 by the store's clock. */
  readonly stored: number;
}

/** What a watch of a store tells. */
export type StoreChange =
  /** All hosts are told from here on, as at the start: the thread was lost. `now` is by the store's clock. */
  | { readonly kind: "begin"; readonly now: number }
  /** `text` is the host's record; a profile may stand in it. */
  | ({ readonly kind: "host"; readonly host: string } & StoredValue)
  | { readonly kind: "gone"; readonly host: string }
  /** All that there is has been told; what comes now are changes. */
  | { readonly kind: "settled" }
  /** Nothing is heard of the store, and why. A `begin` follows when that is over. */
  | { readonly kind: "trouble"; readonly message: string };

/** Where the hosts of a fleet say what they are. Every method rejects with StoreError. */
export interface FleetStore {
  /** Where it is, for people. */
  readonly place: string;
  /**
   * Replaces what the host has said. A reader never sees a part of it, nor a record without its profile.
   * @param renew whether the profile may be new, or lost, or about to expire
   */
  publish(record: HostRecord, profile: WireProfile, renew: boolean): Promise<void>;
  /** What the host has said last; undefined when nothing. */
  read(host: string): Promise<StoredValue | undefined>;
  /** The host is gone. */
  remove(host: string): Promise<void>;
  /** The text of a profile that does not stand in its hosts' records; undefined when there is none. */
  profile(digest: string): Promise<string | undefined>;
  /** Until the signal: then it ends, and does not throw. */
  watch(signal: AbortSignal): AsyncIterable<StoreChange>;
  close(): Promise<void>;
}

/** The store is not there, or refuses; `message` is for people. */
export class StoreError extends Error {
  override readonly name = "StoreError";
}
