import { attribute, type Claim, type Exclusion } from "../attribution/attribution.ts";
import { RangeSet } from "../ranges/range-set.ts";
import { hintFor } from "./gaps.ts";
import type { Source } from "./sources.ts";

/** What a guest can use that all sources restrict together. */
export interface Plan {
  readonly ranges: RangeSet;
  /** The strictest of the sources'; null when none is known. */
  readonly alignment: bigint | null;
  /** Whether the kernel has told everything: then attaching gives these ranges and no others. */
  readonly exact: boolean;
  /** What would make it exact, when it is not. */
  readonly hint?: string;
  readonly claims: readonly Claim[];
}

/** Combines sources; with none, everything is allowed. */
export function makePlan(sources: readonly Source[]): Plan {
  const claims = sources.flatMap((source) => source.claims);
  const alignments = sources.flatMap(({ alignment }) => alignment ?? []);
  const hint = hintFor(sources.flatMap(({ gap }) => gap ?? []));
  return {
    ranges: RangeSet.from(claims).invert(),
    // Powers of two: a multiple of the greatest is a multiple of all.
    alignment: alignments.reduce<bigint | null>((a, b) => (a === null || b > a ? b : a), null),
    exact: hint === undefined,
    ...(hint === undefined ? {} : { hint }),
    claims,
  };
}

/** What is excluded within `within`, and by whom: there precisely the complement of the plan's ranges. */
export function exclusions(plan: Plan, within: RangeSet = RangeSet.ALL): Iterable<Exclusion> {
  return attribute(plan.claims, within);
}
