import { z } from "zod";
import type { Change } from "../host/changes.ts";
import { toWireRanges } from "./methods/wire.ts";
import { contextName, deviceName, ioasId, wireRanges } from "./types.ts";

/** One event: a notification that subscribers get. */
export interface EventDefinition {
  readonly name: string;
  /** One sentence. */
  readonly summary: string;
  readonly params: z.ZodObject;
}

/** What every event carries. */
const stamp = {
  sequence: z.int().meta({ description: "Grows by one with every event of the daemon, over all events" }),
  timestamp: z.object({ seconds: z.int(), microseconds: z.int() }).meta({ description: "Wall clock, UTC" }),
};

function define(name: string, summary: string, params: z.ZodRawShape): EventDefinition {
  return { name, summary, params: z.object({ ...params, ...stamp }) };
}

const device = { device: deviceName };
const held = { ...device, context: contextName };
const ioas = { context: contextName, ioas: ioasId };

/** Every event that the daemon sends. */
export const EVENTS: readonly EventDefinition[] = [
  define("DEVICE_ADDED", "A device with an IOMMU group has appeared.", device),
  define("DEVICE_REMOVED", "A device has gone, or has lost its IOMMU group.", device),
  define("DEVICE_HELD", "The daemon has bound a device.", held),
  define("DEVICE_RELEASED", "The daemon has given a device back.", held),
  define("DEVICE_ATTACHED", "A device has come into an IOAS.", { ...device, ...ioas }),
  define("DEVICE_DETACHED", "A device has left its IOAS.", { ...device, ...ioas }),
  define("DEVICE_HANDED_OVER", "A client has got a device's and a context's descriptors.", held),
  define("CONTEXT_CREATED", "A context has been opened.", { context: contextName }),
  define("CONTEXT_DESTROYED", "A context has been closed.", { context: contextName }),
  define("IOAS_CREATED", "An IOAS has been made.", ioas),
  define("IOAS_DESTROYED", "An IOAS has gone.", ioas),
  define("ALLOWED_RANGES_CHANGED", "What an IOAS allows has changed.", {
    ...ioas,
    generation: z.int(),
    ranges: wireRanges,
    gained: wireRanges,
    lost: wireRanges,
    cause: z.object({ event: z.string(), device: deviceName }),
  }),
  define("EVENTS_LOST", "This subscriber has read too slowly: it should subscribe again.", {
    count: z.int().positive().meta({ description: "How many events it has not got" }),
  }),
];

const NAMES: ReadonlySet<string> = new Set(EVENTS.map(({ name }) => name));

/** The params of the event that tells of a change, without its stamp; undefined for what is only logged. */
export function toWireEvent(change: Change): Record<string, unknown> | undefined {
  if (!NAMES.has(change.event)) return undefined;
  if (change.event === "ALLOWED_RANGES_CHANGED") {
    const { event: _, ranges, gained, lost, ...rest } = change;
    return { ...rest, ranges: toWireRanges(ranges), gained: toWireRanges(gained), lost: toWireRanges(lost) };
  }
  const { event: _, milliseconds: __, ...params } = { milliseconds: undefined, ...change };
  return params;
}
