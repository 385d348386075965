import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import type { Reserved } from "./knowledge.ts";

/** Why a range is excluded. `reserved-elsewhere`: the kernel excludes it, and no known device accounts for it. */
export interface Cause {
  readonly device?: string;
  readonly group?: number;
  readonly kind: "region" | "aperture" | "reserved-elsewhere";
  /** The region's type. */
  readonly type?: string;
}

export interface Conflict extends Range {
  readonly causes: readonly Cause[];
}

/** Which parts of `wanted` a device excludes, and by what; as far as its regions and aperture are known. */
export function conflictsWith(
  wanted: RangeSet,
  { device, group }: PlatformDevice,
  reserved: Reserved,
): Conflict[] {
  const conflicts: Conflict[] = [];
  const add = (excluded: RangeSet, cause: Cause) => {
    for (const range of wanted.intersect(excluded)) conflicts.push({ ...range, causes: [cause] });
  };
  for (const region of reserved.regions) {
    if (region.enforced) add(RangeSet.from([region]), { device, group, kind: "region", type: region.type });
  }
  if (reserved.aperture)
    add(RangeSet.from([reserved.aperture]).invert(), { device, group, kind: "aperture" });
  return conflicts;
}
