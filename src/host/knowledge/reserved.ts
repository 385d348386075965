import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { compareRegions, type Region, type ReservedRegions } from "../platform/reserved-regions.ts";
import type { Backend, Learnt } from "./learnt.ts";

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
  const enforced = enforcedOf(regions);
  const outside = aperture ? RangeSet.from([aperture]).invert() : RangeSet.EMPTY;
  return excluded.union(enforced).union(outside);
}

/** What is known of a device. `isAlone`: in its group. */
interface Sources {
  readonly file: ReservedRegions;
  readonly learnt: Learnt | undefined;
  readonly aperture: Range | null;
  readonly isAlone: boolean;
  readonly generation: number;
}

/** What the kernel has told of the device, and what it has not told, by its group's file. */
export function combine({ file, learnt, aperture, isAlone, generation }: Sources): Reserved {
  const { regions, truncated } = file;
  const common = {
    regions,
    backend: learnt?.backend ?? null,
    aperture,
    apertureSource: learnt?.source ?? (aperture ? ("estimate" as const) : ("unknown" as const)),
    alignment: learnt?.alignment ?? null,
    cached: true,
    generation,
  };
  if (learnt) {
    const excluded = learnt.ranges.invert();
    const exact = { ...common, truncated: false, excluded, uncertain: RangeSet.EMPTY };
    if (learnt.source === "ioas") return { ...exact, source: "sysfs", scope: "group" };
    const scope = learnt.backend === "vfio-type1" && !isAlone ? "group" : "device";
    return { ...exact, source: "probe", scope, regions: ownRegions(regions, excluded) };
  }
  const enforced = enforcedOf(regions);
  return {
    ...common,
    source: "sysfs",
    scope: "group",
    truncated,
    excluded: isAlone ? enforced : RangeSet.EMPTY,
    uncertain: isAlone ? RangeSet.EMPTY : enforced,
  };
}

/** The same, with the IOMMU driver's own list for the device in the place of its group's file. */
export function byList(
  { aperture, apertureSource, alignment, generation }: Reserved,
  file: ReservedRegions,
  listed: RangeSet,
  learnt: Learnt | undefined,
): Reserved {
  return {
    ...{ aperture, apertureSource, alignment, generation },
    source: "resv-iova-ranges",
    backend: "iommufd",
    scope: "device",
    regions: ownRegions(file.regions, listed),
    truncated: false,
    excluded: listed.union(learnt?.ranges.invert() ?? RangeSet.EMPTY),
    uncertain: RangeSet.EMPTY,
    cached: false,
  };
}

export function enforcedOf(regions: readonly Region[]): RangeSet {
  return RangeSet.from(regions.filter((region) => region.enforced));
}

/** Those parts of the group's regions that the kernel does enforce for this device; relaxable ones leave no trace. */
function ownRegions(regions: readonly Region[], excluded: RangeSet): Region[] {
  const parts = regions.flatMap((region) => {
    if (!region.enforced) return [region];
    return [...excluded.intersect(RangeSet.from([region]))].map((part) => ({ ...region, ...part }));
  });
  return parts.sort(compareRegions);
}

/**
 * The aperture behind an answer. Its ends are the ends of the answer, moved outwards over reserved regions that adjoin
 * them: whether the aperture cuts such a region nobody can see, and it makes no difference to what is excluded.
 */
export function apertureOf(allowed: RangeSet, regions: readonly Region[]): Range | null {
  const hull = allowed.hull();
  if (hull === null) return null;
  const reach = allowed.union(enforcedOf(regions));
  const outwards = [...reach].filter((range) => range.start <= hull.last && hull.start <= range.last);
  const first = outwards[0] ?? hull;
  const last = outwards.at(-1) ?? hull;
  return { start: first.start, last: last.last };
}
