import type { Logger } from "pino";
import type { Change, Observer } from "./host/changes.ts";
import { formatRange } from "./ranges/range.ts";

/** Writes one line for every change of state. Nothing of it comes from a client but names that were checked. */
export function logChanges(log: Logger): Observer {
  return (change) => {
    if (change.event === "PREDICTION_MISSED")
      log.warn(fields(change), "the kernel's answer was not predicted");
    else if (change.event === "LOOK_FAILED") log.warn(fields(change), "sysfs cannot be read");
    else if (change.event === "ALLOWED_RANGES_CHANGED") log.debug(fields(change), change.event);
    else log.info(fields(change), change.event);
  };
}

/** The change without its name, ranges as text. */
function fields({ event, ...rest }: Change): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(rest).map(([name, value]) => {
      if (name === "milliseconds") return ["ms", Math.round(Number(value))];
      const isRanges = typeof value === "object" && value !== null && Symbol.iterator in value;
      return [name, isRanges ? Array.from(value, formatRange).join(" ") : value];
    }),
  );
}
