import { RangeSet } from "../../ranges/range-set.ts";
import type { Reserved } from "./reserved.ts";

/** What the sources say that an IOAS with these devices allows. */
export interface Prediction {
  /** At most this is allowed. */
  readonly ranges: RangeSet;
  /** Of that, what may be excluded as well: regions that may be a group sibling's. */
  readonly uncertain: RangeSet;
  /** False while the aperture of a device is not known from the kernel: then both ends may lie further in. */
  readonly aperturesKnown: boolean;
  /** False when the kernel cut a device's file short: then anything more may be excluded. */
  readonly complete: boolean;
}

/** Every device takes out what it excludes; with no device everything is allowed. */
export function predict(devices: readonly Reserved[]): Prediction {
  const excluded = devices.reduce((all, device) => all.union(device.excluded), RangeSet.EMPTY);
  const uncertain = devices.reduce((all, device) => all.union(device.uncertain), RangeSet.EMPTY);
  const ranges = excluded.invert();
  return {
    ranges,
    uncertain: uncertain.intersect(ranges),
    aperturesKnown: devices.every(
      ({ apertureSource }) => apertureSource === "probe" || apertureSource === "ioas",
    ),
    complete: devices.every(({ truncated }) => !truncated),
  };
}

/** Whether the kernel's answer is one that the prediction leaves room for. */
export function agrees(prediction: Prediction, actual: RangeSet): boolean {
  if (!actual.subtract(prediction.ranges).isEmpty) return false;
  const hull = actual.hull();
  if (!prediction.complete || (hull === null && !prediction.aperturesKnown)) return true;
  const within =
    hull === null || prediction.aperturesKnown
      ? prediction.ranges
      : prediction.ranges.intersect(RangeSet.from([hull]));
  return within.subtract(prediction.uncertain).subtract(actual).isEmpty;
}
