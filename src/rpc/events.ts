import * as z from "zod";
import type { Change, Changes } from "../host/changes.ts";
import { lazily } from "../lazily.ts";
import { contextName, deviceName, ioasId } from "./inputs.ts";
import { lease, toWireDevice, toWireHolding, wireDevice, wireHolding } from "./records.ts";
import {
  toWireNamedRange,
  toWireRange,
  toWireRanges,
  wireNamedRanges,
  wireRange,
  wireRanges,
} from "./wire.ts";

/** One event: a notification that subscribers get. */
export interface EventDefinition {
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  readonly params: z.ZodObject;
}

/** What every event carries. */
const stamp = lazily(() => ({
  sequence: z.int().meta({ description: "Grows by one with every event of the daemon, over all events" }),
  timestamp: z.object({ seconds: z.int(), microseconds: z.int() }).meta({ description: "Wall clock, UTC" }),
}));

/** Changes that stand in the log alone. */
type LogOnly = "LOOK_FAILED" | "PREDICTION_MISSED" | "RESV_IOCTL_UNKNOWN";
type EventName = Exclude<keyof Changes, LogOnly>;

/** The event of one change: what its params are, and how they come of the change. */
interface ChangeEvent<Name extends EventName> {
  readonly summary: string;
  params(): z.ZodRawShape;
  encode(change: Readonly<Changes[Name]>): Record<string, unknown>;
}

const device = lazily(() => ({ device: deviceName() }));
const ioas = lazily(() => ({ context: contextName(), ioas: ioasId() }));
const end = lazily(() => ({
  cause: z.enum(["request", "lease", "device-gone", "shutdown", "restart"]),
  uid: z.int().nullable().meta({ description: "Of the client that asked for it; null when none has" }),
}));

/** Every change that clients are told of. Of a device that is taken or given back, with what that changes of it. */
const CHANGE_EVENTS = {
  DEVICE_ADDED: {
    summary: "A device with an IOMMU group has appeared.",
    params: () => wireDevice().shape,
    encode: ({ record }) => toWireDevice(record),
  },
  DEVICE_CHANGED: {
    summary: "A device is on another driver, has another node, is blocked by something else.",
    params: () => wireDevice().shape,
    encode: ({ record }) => toWireDevice(record),
  },
  DEVICE_REMOVED: {
    summary: "A device has gone, or has lost its IOMMU group.",
    params: () => device(),
    encode: ({ device }) => ({ device }),
  },
  DEVICE_PROBED: {
    summary: "The kernel has told what one device excludes.",
    params: () => ({ ...device(), reserved: wireRanges(), aperture: wireRange().nullable() }),
    encode: ({ device, reserved, aperture }) => ({
      device,
      reserved: toWireRanges(reserved),
      aperture: aperture && toWireRange(aperture),
    }),
  },
  DEVICE_HELD: {
    summary: "The daemon has bound a device.",
    params: () => ({ ...device(), ...wireHolding(), context: contextName() }),
    encode: ({ device, record }) => ({ device, ...toWireHolding(record) }),
  },
  DEVICE_RELEASED: {
    summary: "The daemon has given a device back. It belongs to no context and no IOAS now.",
    params: () => ({
      ...device(),
      ...z.object(wireHolding()).omit({ ioas: true }).shape,
      context: contextName(),
      ...end(),
    }),
    encode: ({ device, context, cause, uid, record }) => {
      const { ioas: _, ...rest } = toWireHolding(record);
      return { device, ...rest, context, cause, uid };
    },
  },
  DEVICE_ATTACHED: {
    summary: "A device has come into an IOAS.",
    params: () => ({ ...device(), ...wireHolding(), ...ioas() }),
    encode: ({ device, record }) => ({ device, ...toWireHolding(record) }),
  },
  DEVICE_DETACHED: {
    summary: "A device has left its IOAS. It belongs to none now.",
    params: () => ({ ...device(), ...wireHolding(), ...ioas(), ...end() }),
    encode: ({ device, ioas, cause, uid, record }) => ({
      device,
      ...toWireHolding(record),
      ioas,
      cause,
      uid,
    }),
  },
  DEVICE_HANDED_OVER: {
    summary: "A client has got a device's and a context's descriptors.",
    params: () => ({ ...device(), ...wireHolding(), context: contextName() }),
    encode: ({ device, record, context }) => ({ device, ...toWireHolding(record), context }),
  },
  CONTEXT_CREATED: {
    summary: "A context has been opened. It is shared with nobody.",
    params: () => ({ context: contextName(), lease: lease() }),
    encode: ({ context, lease }) => ({ context, lease }),
  },
  CONTEXT_HANDED_OVER: {
    summary: "A client has got a context's descriptor: the context is shared from now on.",
    params: () => ({ context: contextName() }),
    encode: ({ context }) => ({ context }),
  },
  CONTEXT_DESTROYED: {
    summary: "A context has been closed.",
    params: () => ({ context: contextName(), ...end() }),
    encode: ({ context, cause, uid }) => ({ context, cause, uid }),
  },
  IOAS_CREATED: {
    summary: "An IOAS has been made.",
    params: () => ioas(),
    encode: ({ context, ioas }) => ({ context, ioas }),
  },
  IOAS_DESTROYED: {
    summary: "An IOAS has gone.",
    params: () => ioas(),
    encode: ({ context, ioas }) => ({ context, ioas }),
  },
  ALLOW_LIST_CHANGED: {
    summary: "The kernel keeps other ranges usable in an IOAS, or with null none in particular.",
    params: () => ({ ...ioas(), "allow-list": wireNamedRanges().nullable() }),
    encode: ({ context, ioas, allowList }) => ({
      context,
      ioas,
      "allow-list": allowList && Array.from(allowList, toWireNamedRange),
    }),
  },
  ALLOWED_RANGES_CHANGED: {
    summary: "What an IOAS allows has changed.",
    params: () => ({
      ...ioas(),
      generation: z.int(),
      ranges: wireRanges(),
      gained: wireRanges(),
      lost: wireRanges(),
      cause: z.object({ event: z.string(), device: deviceName() }),
    }),
    encode: ({ context, ioas, generation, ranges, gained, lost, cause }) => ({
      ...{ context, ioas, generation, ranges: toWireRanges(ranges) },
      ...{ gained: toWireRanges(gained), lost: toWireRanges(lost), cause },
    }),
  },
  RESTARTED: {
    summary: "Another process of the daemon has taken over from the one before.",
    params: () => ({
      instance: z.string().meta({ description: "Another one than before when anything was lost" }),
      lost: z.array(
        z.object({
          context: contextName().optional(),
          ioas: ioasId().optional(),
          device: deviceName().optional(),
          reason: z.string(),
        }),
      ),
    }),
    encode: ({ instance, lost }) => ({ instance, lost: lost.map((each) => ({ ...each })) }),
  },
} satisfies { readonly [Name in EventName]: ChangeEvent<Name> };

/** What a subscription tells of itself. */
const OWN_EVENTS = {
  EVENTS_LOST: {
    summary: "This subscriber has read too slowly: it should subscribe again.",
    params: () => ({ count: z.int().positive().meta({ description: "How many events it has not got" }) }),
  },
};

type Definitions = typeof CHANGE_EVENTS & typeof OWN_EVENTS;

/** The params of each event, as they stand on the wire. */
export type WireEvents = {
  readonly [Name in keyof Definitions]: Definitions[Name] extends {
    params: () => infer Own extends z.ZodRawShape;
  }
    ? z.output<z.ZodObject<Own>> & z.output<z.ZodObject<ReturnType<typeof stamp>>>
    : never;
};

/** Every event that the daemon sends. */
export const EVENTS: readonly EventDefinition[] = Object.entries({ ...CHANGE_EVENTS, ...OWN_EVENTS }).map(
  ([name, { summary, params: own }]) => {
    const params = lazily(() => z.object({ ...own(), ...stamp() }));
    return {
      name,
      summary,
      get params() {
        return params();
      },
    };
  },
);

/** The params of the event that tells of a change, without its stamp; undefined for what is only logged. */
export function toWireEvent(change: Change): Record<string, unknown> | undefined {
  if (!Object.hasOwn(CHANGE_EVENTS, change.event)) return undefined;
  // Of the union of all changes each is encoded by its own entry, which the table's type vouches for.
  const { encode } = CHANGE_EVENTS[change.event as EventName] as ChangeEvent<EventName>;
  return encode(change as never);
}
