import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import { STEP, type Steps } from "../ranges/steps.ts";
import type { Cause } from "./cause.ts";
import type { Claim } from "./claims.ts";
import { edgesOf } from "./edges.ts";
import { OpenCauses } from "./open-causes.ts";

/** A range with everything that excludes it; each cause holds for the whole of it. */
export interface Exclusion extends Range {
  readonly causes: readonly Cause[];
}

/**
 * The union of the claims within `within`, ascending, split where the set of causes changes and nowhere else. Causes are
 * in the order of their keys.
 */
export function* attribute(
  claims: readonly Claim[],
  within: RangeSet = RangeSet.ALL,
): Generator<Exclusion, void, undefined> {
  for (const exclusion of sweep(claims, within)) if (exclusion) yield exclusion;
}

/**
 * As {@link attribute}, and undefined after every piece of work that has brought nothing yet, so that others can go
 * first: it takes a long time when there are many claims.
 *
 * A sweep over the claims' bounds: N claims take O(N log N), plus the causes of what it yields. Those can be N for each
 * of N ranges, so it is a generator: who has enough stops.
 */
export function* sweep(
  claims: readonly Claim[],
  within: RangeSet = RangeSet.ALL,
): Generator<Exclusion | undefined, void, undefined> {
  const concerned = within === RangeSet.ALL ? claims : yield* overlapping(claims, within);
  const { causes, begins, ends } = yield* edgesOf(concerned);
  const open = new OpenCauses(causes);
  const pieces = new Pieces(within);
  const count = ends.at.length;
  let from = 0n;
  let done = 0;
  for (let i = 0, j = 0; j < count; ) {
    // What is told takes time as well, of whoever is told.
    if (i + j + open.told >= done + STEP) {
      yield;
      done = i + j + open.told;
    }
    const last = ends.at[j] as bigint;
    const bound = i < count && (begins.at[i] as bigint) <= last ? (begins.at[i] as bigint) : last + 1n;
    for (; i < count && begins.at[i] === bound; i++) open.add(begins.causes[i] as number, 1);
    for (; j < count && ends.at[j] === bound - 1n; j++) open.add(ends.causes[j] as number, -1);
    // A cause whose one claim ends where its next begins goes on: the range is not split there.
    if (open.hasChanged) {
      if (!open.isEmpty) {
        if (within === RangeSet.ALL) yield { start: from, last: bound - 1n, causes: open.inOrder() };
        else yield* pieces.of(from, bound - 1n, open);
      }
      from = bound;
    }
    open.settle();
  }
}

function* overlapping(claims: readonly Claim[], within: RangeSet): Steps<Claim[]> {
  const found: Claim[] = [];
  for (let i = 0; i < claims.length; i++) {
    if (i % STEP === 0) yield;
    const claim = claims[i] as Claim;
    if (within.overlaps(claim)) found.push(claim);
  }
  return found;
}

/** Cuts ascending ranges to what lies within a set. */
class Pieces {
  readonly #within: RangeSet;
  #next = 0;

  constructor(within: RangeSet) {
    this.#within = within;
  }

  /** The causes are put in order only for what is told. */
  *of(start: bigint, last: bigint, open: OpenCauses): Generator<Exclusion, void, undefined> {
    let causes: readonly Cause[] | undefined;
    for (; this.#next < this.#within.size; this.#next++) {
      const piece = this.#within.at(this.#next);
      if (piece.start > last) return;
      if (piece.last >= start) {
        causes ??= open.inOrder();
        yield {
          start: piece.start > start ? piece.start : start,
          last: piece.last < last ? piece.last : last,
          causes,
        };
      }
      if (piece.last > last) return;
    }
  }
}
