import { type Exclusion, sweep } from "../attribution/attribution.ts";
import type { Claim } from "../attribution/claims.ts";
import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import { flatInSteps, STEP, type Steps } from "../ranges/steps.ts";
import { adviceOn } from "./gaps.ts";
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
  /** The devices here that a probe would tell more of, sorted. */
  readonly unprobed: readonly string[];
  readonly claims: readonly Claim[];
  /** What is excluded whatever a probe of those devices may tell: all of these together. */
  readonly certain: readonly Iterable<Range>[];
}

/** Combines sources; with none, everything is allowed. */
export function* makePlan(sources: readonly Source[]): Steps<Plan> {
  const claims = yield* flatInSteps(sources.map(({ claims }) => claims));
  const alignments = sources.flatMap(({ alignment }) => alignment ?? []);
  const gaps = sources.flatMap(({ gap }) => gap ?? []);
  const { hint, unprobed } = yield* adviceOn(gaps);
  const excluded = yield* RangeSet.fromInSteps(claims);
  return {
    ranges: excluded.invert(),
    // Powers of two: a multiple of the greatest is a multiple of all.
    alignment: alignments.reduce<bigint | null>((a, b) => (a === null || b > a ? b : a), null),
    exact: hint === undefined,
    ...(hint === undefined ? {} : { hint }),
    unprobed,
    claims,
    certain: sources.map(({ certain, claims }) => certain ?? claims),
  };
}

/** As {@link exclusions}, whole where they reach out of `within`, and without a word on whose fault it is. */
export function* unexplained(
  plan: Plan,
  within: RangeSet,
): Generator<Exclusion | undefined, void, undefined> {
  const holes = plan.ranges.invert();
  for (let i = 0; i < holes.size; i++) {
    if (i % STEP === 0) yield;
    const { start, last } = holes.at(i);
    if (within.overlaps({ start, last })) yield { start, last, causes: [] };
  }
}

/**
 * What is excluded within `within`, and by whom: there precisely the complement of the plan's ranges. Undefined after
 * every piece of work that has brought nothing yet.
 */
export function exclusions(
  plan: Plan,
  within: RangeSet = RangeSet.ALL,
): Generator<Exclusion | undefined, void, undefined> {
  return sweep(plan.claims, within);
}
