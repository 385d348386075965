import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import type { Region } from "../platform/reserved-regions.ts";
import type { Backend } from "./learnt.ts";

export type ApertureSource = "probe" | "ioas" | "estimate" | "unknown";

/** What is known of the ranges that one device takes out of an IOAS. */
export interface Reserved {
  /**
   * "probe": the kernel's own answer for this device. "resv-iova-ranges": the IOMMU driver's list for it. "sysfs": the
   * group's file. The latter two lack the aperture.
   */
  readonly source: "sysfs" | "probe" | "resv-iova-ranges";
  /** Null when nothing here comes from such an interface. */
  readonly backend: Backend | null;
  /** "group": siblings' regions may be among them. */
  readonly scope: "group" | "device";
  readonly regions: readonly Region[];
  /** The file was cut by the kernel: there may be regions that nobody shows. */
  readonly truncated: boolean;
  /** Excluded for certain, the aperture's outside included where the kernel has told it. */
  readonly excluded: RangeSet;
  /** Excluded by this device or by a sibling of its group: the group's file does not say which. */
  readonly uncertain: RangeSet;
  readonly aperture: Range | null;
  readonly apertureSource: ApertureSource;
  readonly alignment: bigint | null;
  readonly cached: boolean;
  /** Grows whenever the answer may have changed. */
  readonly generation: number;
}

/**
 * All that the device keeps from an IOAS as far as is known: what is enforced, for it or for its group, and what lies
 * outside its aperture, known or estimated. The list for the owner of a stage-1 table.
 */
export function reservedRanges({ excluded, regions, aperture }: Reserved): RangeSet {
  const enforced = RangeSet.from(regions.filter((region) => region.enforced));
  const outside = aperture ? RangeSet.from([aperture]).invert() : RangeSet.EMPTY;
  return excluded.union(enforced).union(outside);
}
