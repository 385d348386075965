import { NamedRanges } from "../../ranges/named-ranges.ts";
import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { finish } from "../../ranges/steps.ts";
import type { End } from "../changes.ts";
import type { Lease } from "../contexts/lease.ts";
import type { Owner } from "../contexts/owners.ts";
import type { DeviceRecord } from "../devices/device-record.ts";
import type { Learnt } from "../knowledge/learnt.ts";
import type { Blocker } from "../platform/blockers.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import { type Journal, NO_JOURNAL } from "./journal.ts";

/** A call under way, or several that belong together: whether it has happened, the kernel has to be asked. */
export type Intent =
  | DeviceIntent
  | IoasIntent<"destroy-ioas">
  // The version before noted no list.
  | (IoasIntent<"allow"> & { readonly list?: Entries["allow-list"] })
  | { readonly operation: "end"; readonly context: string; readonly end: End };

export type DeviceIntent =
  // The version before noted no IOAS; its attach is not completed.
  (OnDevice<"attach"> & { readonly ioas?: number }) | OnDevice<"detach"> | OnDevice<"release">;

interface OnDevice<O> {
  readonly operation: O;
  readonly device: string;
}

interface IoasIntent<O> {
  readonly operation: O;
  readonly context: string;
  readonly ioas: number;
}

/**
 * Every kind of entry in the journal, and what it keeps. The key is the kind and then, after spaces, what it is about: a
 * context, a context and an IOAS, a device, a number.
 */
export interface Entries {
  /** Of a context. */
  context: { readonly lease: Lease; readonly owner: Owner; readonly shared: boolean };
  /** Of a shared context: see Context.looks. */
  looks: number;
  /** Of a context and an IOAS. Gone: all of its generation, allowed ranges and allow list are gone, too. */
  ioas: { readonly owner: Owner };
  generation: number;
  /** What listeners were told last of what the IOAS allows; absent: everything. */
  told: readonly Range[];
  "allow-list": readonly (Range & { readonly name?: string | undefined })[];
  /** Of a device, as listeners were told; where it is attached may be of before, see KeptRecords. */
  device: DeviceRecord;
  held: {
    readonly platform: PlatformDevice;
    readonly context: string;
    readonly owner: Owner;
    readonly deviceId: number;
  };
  /** The IOAS of its context that the device is attached to. */
  attached: number;
  "handed-over": {
    readonly platform: PlatformDevice;
    readonly context: string;
    /** The context has been closed since. */
    readonly isOver: boolean;
    readonly owner: Owner;
  };
  learnt: Omit<Learnt, "ranges"> & { readonly ranges: readonly Range[] };
  refusal: { readonly device: PlatformDevice; readonly blocker: Blocker };
  /** How often what is known of a group, or of an IOMMU's devices, has changed: see Knowledge. */
  changes: number;
  "under-way": Intent;
}

export type Kind = keyof Entries;

/** Sets an entry, or with null takes it out. */
export function write<K extends Kind>(
  journal: Journal,
  kind: K,
  about: string | number,
  value: Entries[K] | null,
): void {
  if (journal !== NO_JOURNAL) journal.put(`${kind} ${about}`, value === null ? null : encode(kind, value));
}

/** The entries of a kind, in their order: what each is about, and what it keeps. */
export function* read<K extends Kind>(journal: Journal, kind: K): Generator<[string, Entries[K]]> {
  const prefix = `${kind} `;
  for (const [key, text] of journal.entries)
    if (key.startsWith(prefix)) yield [key.slice(prefix.length), decode(text) as Entries[K]];
}

/** An IOAS as a key names it. */
export const ioasKey = (context: string, ioas: number) => `${context} ${ioas}`;

export function fromIoasKey(about: string): { context: string; ioas: number } {
  const [context = "", ioas] = about.split(" ");
  return { context, ioas: Number(ioas) };
}

export const toRangeSet = (ranges: readonly Range[]) => RangeSet.from(ranges);
export const toNamedRanges = (ranges: Entries["allow-list"]) => finish(NamedRanges.from([...ranges]));

/** Addresses are beyond what JSON has numbers for. */
const BIG = "$u64";
/** What has addresses always. */
const WITH_ADDRESSES: ReadonlySet<Kind> = new Set(["told", "allow-list", "learnt"]);

function encode(kind: Kind, value: unknown): string {
  if (WITH_ADDRESSES.has(kind)) return JSON.stringify(value, withAddresses);
  try {
    // To look at every value takes several times as long, and of the rest few have addresses.
    return JSON.stringify(value);
  } catch {
    return JSON.stringify(value, withAddresses);
  }
}

function withAddresses(_key: string, each: unknown): unknown {
  return typeof each === "bigint" ? { [BIG]: each.toString(16) } : each;
}

function decode(text: string): unknown {
  return JSON.parse(text, (_key, each) =>
    typeof each?.[BIG] === "string" ? BigInt(`0x${each[BIG]}`) : each,
  );
}
