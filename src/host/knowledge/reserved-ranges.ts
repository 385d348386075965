import { RangeSet } from "../../ranges/range-set.ts";
import type { Reserved } from "./knowledge.ts";

/**
 * All that the device keeps from an IOAS as far as is known: what is enforced, for it or for its group, and what lies
 * outside its aperture, known or estimated. The list for the owner of a stage-1 table.
 */
export function reservedRanges({ excluded, regions, aperture }: Reserved): RangeSet {
  const enforced = RangeSet.from(regions.filter((region) => region.enforced));
  const outside = aperture ? RangeSet.from([aperture]).invert() : RangeSet.EMPTY;
  return excluded.union(enforced).union(outside);
}
