import type { EventName } from "../client/index.ts";
import type { OptionDefinitions } from "./command.ts";
import { rangeText, type WireRange } from "./ranges.ts";
import type { Paint, Role } from "./terminal/paint.ts";

/** An event as it comes. */
export interface WireEvent {
  readonly method: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** Of what was taken away, given, or went wrong there is a colour. */
const ROLES: Readonly<Record<EventName, Role>> = {
  DEVICE_ADDED: "fits",
  DEVICE_CHANGED: "heading",
  DEVICE_REMOVED: "blocks",
  DEVICE_PROBED: "heading",
  DEVICE_HELD: "heading",
  DEVICE_RELEASED: "heading",
  DEVICE_ATTACHED: "fits",
  DEVICE_DETACHED: "heading",
  DEVICE_HANDED_OVER: "heading",
  CONTEXT_CREATED: "heading",
  CONTEXT_HANDED_OVER: "heading",
  CONTEXT_DESTROYED: "heading",
  IOAS_CREATED: "heading",
  IOAS_DESTROYED: "heading",
  ALLOW_LIST_CHANGED: "heading",
  ALLOWED_RANGES_CHANGED: "warns",
  RESTARTED: "warns",
};

/** The option that asks for some events alone. */
export const EVENT_OPTION = {
  event: {
    type: "string",
    multiple: true,
    value: "NAME",
    words: Object.keys(ROLES),
    about: "only these events; as often as needed",
  },
} as const satisfies OptionDefinitions;

/** One event as one line: its number, its time, its name, what it is about, and why. */
export function eventLine({ method, params }: WireEvent, paint: Paint): string {
  const { sequence, timestamp } = params as {
    sequence: number;
    timestamp: { seconds: number; microseconds: number };
  };
  const time = new Date(timestamp.seconds * 1000 + Math.floor(timestamp.microseconds / 1000)).toISOString();
  const name = paint(ROLES[method as EventName] ?? "heading", method);
  return [paint("quiet", `${sequence} ${time}`), name, subject(params), why(method, params)]
    .filter((part) => part !== "")
    .join("  ");
}

function subject({ device, context, ioas }: Readonly<Record<string, unknown>>): string {
  const place = context == null ? "" : ioas == null ? `${context}` : `${context}/${ioas}`;
  if (device === undefined) return place;
  return place === "" ? `${device}` : `${device} in ${place}`;
}

function why(method: string, params: Readonly<Record<string, unknown>>): string {
  const { cause, uid, count, driver, state } = params as Record<string, never>;
  if (method === "ALLOWED_RANGES_CHANGED") return rangesChange(params as unknown as RangesChange);
  if (method === "DEVICE_CHANGED") return `now ${state} on ${driver ?? "no driver"}`;
  if (method === "ALLOW_LIST_CHANGED") return keptText(params["allow-list"] as readonly WireRange[] | null);
  if (method === "RESTARTED") return lostText(params.lost);
  if (count !== undefined) return `${count} events`;
  if (cause === undefined) return "";
  return uid === null || uid === undefined ? `(${cause})` : `(${cause} by uid ${uid})`;
}

function keptText(kept: readonly WireRange[] | null): string {
  return kept ? `keeps ${kept.map(rangeText).join(" ")}` : "keeps nothing";
}

export interface RangesChange {
  readonly gained: readonly WireRange[];
  readonly lost: readonly WireRange[];
  readonly cause?: { readonly event: string; readonly device: string };
}

/** What is lost and gained, and by what. */
export function rangesChange({ gained, lost, cause }: RangesChange): string {
  const list = (sign: string, ranges: readonly WireRange[]) =>
    ranges.map((range) => `${sign}${rangeText(range)}`);
  const origin = cause ? ` (${cause.event} of ${cause.device})` : "";
  return `${[...list("-", lost), ...list("+", gained)].join(" ")}${origin}`;
}

function lostText(lost: unknown): string {
  if (!Array.isArray(lost) || lost.length === 0) return "nothing was lost";
  return `lost: ${lost.map((each) => (typeof each === "string" ? each : JSON.stringify(each))).join(", ")}`;
}
