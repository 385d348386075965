import type { z } from "zod";
import type { Blocker } from "../../host/blockers.ts";
import type { Reserved } from "../../host/knowledge.ts";
import type { PlatformDevice } from "../../host/platform.ts";
import type { Region } from "../../host/reserved-regions.ts";
import { formatAddress } from "../../ranges/address.ts";
import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { toWireRange, type wireRange, type wireRegion } from "../types.ts";

/** Ranges in the form they have in answers. */
export function toWireRanges(ranges: Iterable<Range>): z.input<typeof wireRange>[] {
  return Array.from(ranges, toWireRange);
}

export function toWireRegion({ start, last, type, enforced }: Region): z.input<typeof wireRegion> {
  return { ...toWireRange({ start, last }), type, enforced };
}

export function toWireBlocker({ reason, detail, region, devices }: Blocker) {
  return {
    reason,
    detail,
    ...(region ? { region: toWireRegion(region) } : {}),
    ...(devices ? { devices: [...devices] } : {}),
  };
}

/** The answer of `query-reserved-ranges` and `probe-device`. */
export function toWireReserved({ device, group }: PlatformDevice, reserved: Reserved) {
  const { aperture, regions } = reserved;
  const outside = aperture ? RangeSet.from([aperture]).invert() : RangeSet.EMPTY;
  const enforced = RangeSet.from(regions.filter((region) => region.enforced));
  return {
    device,
    group,
    source: reserved.source,
    scope: reserved.source === "sysfs" ? ("group" as const) : ("device" as const),
    regions: regions.map(toWireRegion),
    reserved: toWireRanges(reserved.excluded.union(enforced).union(outside)),
    aperture: aperture ? toWireRange(aperture) : null,
    "aperture-source": reserved.apertureSource,
    "iova-alignment": reserved.alignment === null ? null : formatAddress(reserved.alignment),
    truncated: reserved.truncated,
    cached: reserved.cached,
    generation: reserved.generation,
  };
}
