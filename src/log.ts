import type { Logger } from "pino";
import type { Change, Observer } from "./host/changes.ts";
import type { DeviceRecord } from "./host/devices/device-record.ts";
import { NamedRanges } from "./ranges/named-ranges.ts";
import { formatRange, type Range } from "./ranges/range.ts";
import { RangeSet } from "./ranges/range-set.ts";

/** Writes one line for every change of state. Nothing of it comes from a client but names that were checked. */
export function logChanges(log: Logger): Observer {
  return (change) => {
    if (change.event === "PREDICTION_MISSED")
      log.warn(fields(change), "the kernel's answer was not predicted");
    else if (change.event === "LOOK_FAILED") log.warn(fields(change), "sysfs cannot be read");
    else if (change.event === "RESV_IOCTL_UNKNOWN")
      log.warn(fields(change), "the kernel does not know the ioctl of --resv-iova-ranges-ioctl");
    else if (change.event === "RESTARTED" && change.lost.length > 0)
      log.error(fields(change), "some of what an earlier process held could not be taken over");
    else if (change.event === "ALLOWED_RANGES_CHANGED") log.debug(fields(change), change.event);
    else log.info(fields(change), change.event);
  };
}

/** The change without its name, ranges as text. */
function fields({ event, ...rest }: Change): Record<string, unknown> {
  const named: Readonly<Record<string, unknown>> = rest;
  return Object.assign({}, ...Object.entries(named).map(([name, value]) => field(event, name, value)));
}

function field(event: string, name: string, value: unknown): Record<string, unknown> {
  if (name === "milliseconds") return { ms: Math.round(Number(value)) };
  if (name === "record") return tellsOfRecord(event) ? summary(value as DeviceRecord) : {};
  // Without the names, which clients make up.
  if (value instanceof NamedRanges) return field(event, name, value.ranges);
  if (value instanceof RangeSet) return { [name]: Array.from(value, formatRange).join(" ") };
  if (name === "aperture" && value !== null) return { aperture: formatRange(value as Range) };
  return { [name]: value };
}

/** The other events say by their own members what has changed. */
function tellsOfRecord(event: string): boolean {
  return event === "DEVICE_ADDED" || event === "DEVICE_CHANGED";
}

function summary({ platform: { driver }, blockers }: DeviceRecord): Record<string, unknown> {
  return { driver, blockers: blockers.map(({ reason }) => reason) };
}
