import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import type { Cause } from "./cause.ts";

/** Somebody excludes a range. Claims may overlap and repeat. */
export interface Claim extends Range {
  readonly cause: Cause;
}

/** What of `excluded` no claim accounts for, claimed by `cause`. */
export function unclaimed(excluded: RangeSet, claims: readonly Claim[], cause: Cause): Claim[] {
  const rest = excluded.subtract(RangeSet.from(claims));
  return Array.from(rest, ({ start, last }) => ({ start, last, cause }));
}

/** The parts of the claims that lie in `set`. */
export function clip(claims: readonly Claim[], set: RangeSet): Claim[] {
  return claims.flatMap((claim) => {
    if (set.covers(claim)) return claim;
    return Array.from(set.cut(claim), ({ start, last }) => ({ start, last, cause: claim.cause }));
  });
}
