import type { NamedRanges } from "../ranges/named-ranges.ts";
import type { Range } from "../ranges/range.ts";
import type { RangeSet } from "../ranges/range-set.ts";
import type { Lease } from "./contexts/lease.ts";
import type { Owner } from "./contexts/owners.ts";
import type { DeviceRecord } from "./devices/device-record.ts";

/** Why something ended. */
export type EndCause = "request" | "lease" | "device-gone" | "shutdown" | "restart";

/** Why something ended, and by which client; null when none has asked for it. */
export interface End {
  readonly cause: EndCause;
  readonly uid: Owner;
}

/** Changes of who has a device. `milliseconds` is how long the change took in the kernel. */
interface HoldingChanges {
  DEVICE_HELD: { device: string; context: string; milliseconds: number };
  /** Also of a device that was handed over, and is found to be back; that took no time. */
  DEVICE_RELEASED: { device: string; context: string; milliseconds: number } & End;
  DEVICE_ATTACHED: { device: string; context: string; ioas: number; milliseconds: number };
  DEVICE_DETACHED: { device: string; context: string; ioas: number; milliseconds: number } & End;
  DEVICE_HANDED_OVER: { device: string; context: string };
}

/** With each of these comes what the device looks like from then on. */
type WithRecord<Told> = { [Name in keyof Told]: Told[Name] & { record: DeviceRecord } };

interface OtherChanges {
  CONTEXT_CREATED: { context: string; lease: Lease };
  CONTEXT_HANDED_OVER: { context: string };
  CONTEXT_DESTROYED: { context: string } & End;
  IOAS_CREATED: { context: string; ioas: number };
  IOAS_DESTROYED: { context: string; ioas: number };
  /** Null: everything is allowed. */
  ALLOW_LIST_CHANGED: { context: string; ioas: number; allowList: NamedRanges | null };
  ALLOWED_RANGES_CHANGED: {
    context: string;
    ioas: number;
    generation: number;
    ranges: RangeSet;
    gained: RangeSet;
    lost: RangeSet;
    cause: { readonly event: string; readonly device: string };
  };
  DEVICE_PROBED: { device: string; reserved: RangeSet; aperture: Range | null; milliseconds: number };
  DEVICE_REMOVED: { device: string };
  /** Another process has taken over. `instance`: another one than before if anything was lost. */
  RESTARTED: { instance: string; lost: readonly Loss[] };
  /** Which devices there are could not be read; it will be tried again. */
  LOOK_FAILED: { errno: string };
  /** The kernel does not know the ioctl that was said to be IOMMU_RESV_IOVA_RANGES; it is not asked again. */
  RESV_IOCTL_UNKNOWN: { number: string };
  /** The kernel's answer differs from what all sources predict: one of them is wrong, and it is not the kernel. */
  PREDICTION_MISSED: { context: string; ioas: number; predicted: RangeSet; actual: RangeSet };
}

/** Something that was answered, and could not be taken over by the process that came after. */
export interface Loss {
  readonly context?: string;
  readonly ioas?: number;
  readonly device?: string;
  readonly reason: string;
}

/** What the records find out by themselves. */
type RecordChanges = WithRecord<{ DEVICE_ADDED: { device: string }; DEVICE_CHANGED: { device: string } }>;

/**
 * Everything that can change on the host, by the daemon's hand or not, under the name that clients know it by: a snapshot
 * and the changes since are the state.
 */
export type Changes = WithRecord<HoldingChanges> & OtherChanges & RecordChanges;

type NamedBy<Table> = {
  [Name in keyof Table]: { readonly event: Name } & Readonly<Table[Name]>;
}[keyof Table];

export type Change = NamedBy<Changes>;

/** A change of who has a device, as it is told to the records. */
export type HoldingNews = NamedBy<HoldingChanges>;

/** A change as its part of the host tells of it. */
export type News = HoldingNews | NamedBy<OtherChanges>;

/** Told of every change, in order, before the request that caused it is answered. */
export type Observer = (change: Change) => void;

/** What the parts of the host tell their changes. */
export type Tell = (news: News) => void;
