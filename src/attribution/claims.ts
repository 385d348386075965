import { RangeSet } from "../ranges/range-set.ts";
import type { Claim } from "./attribution.ts";
import type { Cause } from "./cause.ts";

/** What of `excluded` no claim accounts for, claimed by `cause`. */
export function unclaimed(excluded: RangeSet, claims: readonly Claim[], cause: Cause): Claim[] {
  return [...excluded.subtract(RangeSet.from(claims))].map((range) => ({ ...range, cause }));
}

/** The parts of the claims that lie in `set`. */
export function clip(claims: readonly Claim[], set: RangeSet): Claim[] {
  return claims.flatMap((claim) => {
    if (set.covers(claim)) return [claim];
    const parts = set.overlaps(claim) ? set.intersect(RangeSet.from([claim])) : RangeSet.EMPTY;
    return [...parts].map((part) => ({ ...part, cause: claim.cause }));
  });
}
