import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import { type Cause, causeKey } from "./cause.ts";

/** Somebody excludes a range. Claims may overlap and repeat. */
export interface Claim extends Range {
  readonly cause: Cause;
}

/** A range with everything that excludes it; each cause holds for the whole of it. */
export interface Exclusion extends Range {
  readonly causes: readonly Cause[];
}

/**
 * The union of the claims within `within`, ascending, split where the set of causes changes and nowhere else. Causes are
 * in the order of their keys.
 *
 * A sweep over the claims' bounds: N claims take O(N log N), plus the causes of what it yields. Those can be N for each
 * of N ranges, so it is a generator: who has enough stops.
 */
export function* attribute(
  claims: readonly Claim[],
  within: RangeSet = RangeSet.ALL,
): Generator<Exclusion, void, undefined> {
  const { causes, idOf } = numberCauses(claims);
  const byStart = claims.toSorted((a, b) => compare(a.start, b.start));
  const byLast = claims.toSorted((a, b) => compare(a.last, b.last));
  /** How many claims are open for each cause that has any. */
  const open = new Map<number, number>();
  const pieces = new Pieces(within);
  let from = 0n;
  for (let i = 0, j = 0; j < byLast.length; ) {
    const bound = lower(byStart[i]?.start, (byLast[j] as Claim).last + 1n);
    const change = new Map<number, number>();
    for (; byStart[i]?.start === bound; i++) add(change, idOf(byStart[i] as Claim), 1);
    for (; j < byLast.length && (byLast[j] as Claim).last + 1n === bound; j++) {
      add(change, idOf(byLast[j] as Claim), -1);
    }
    // A cause whose one claim ends where its next begins goes on: the range is not split there.
    if ([...change].some(([id, by]) => open.has(id) !== (open.get(id) ?? 0) + by > 0)) {
      if (open.size > 0) yield* pieces.of(from, bound - 1n, () => inOrder(open, causes));
      from = bound;
    }
    for (const [id, by] of change) add(open, id, by);
  }
}

/** Numbers the different causes in the order of their keys. */
function numberCauses(claims: readonly Claim[]) {
  const keys = new Map<Cause, string>();
  for (const { cause } of claims) if (!keys.has(cause)) keys.set(cause, causeKey(cause));
  const byKey = new Map([...keys].map(([cause, key]) => [key, cause]));
  const sorted = [...byKey.keys()].sort();
  const numbers = new Map(sorted.map((key, number) => [key, number]));
  const ids = new Map([...keys].map(([cause, key]) => [cause, numbers.get(key) as number]));
  return {
    causes: sorted.map((key) => byKey.get(key) as Cause),
    idOf: ({ cause }: Claim) => ids.get(cause) as number,
  };
}

function inOrder(open: ReadonlyMap<number, number>, causes: readonly Cause[]): Cause[] {
  return [...open.keys()].sort((a, b) => a - b).map((id) => causes[id] as Cause);
}

/** Cuts ascending ranges to what lies within a set. */
class Pieces {
  readonly #within: RangeSet;
  #next = 0;

  constructor(within: RangeSet) {
    this.#within = within;
  }

  *of(start: bigint, last: bigint, causesOf: () => Cause[]): Generator<Exclusion, void, undefined> {
    let causes: Cause[] | undefined;
    for (; this.#next < this.#within.size; this.#next++) {
      const piece = this.#within.at(this.#next);
      if (piece.start > last) return;
      if (piece.last >= start) {
        causes ??= causesOf();
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

function add(counts: Map<number, number>, id: number, by: number): void {
  const count = (counts.get(id) ?? 0) + by;
  if (count === 0) counts.delete(id);
  else counts.set(id, count);
}

function lower(a: bigint | undefined, b: bigint): bigint {
  return a === undefined || b < a ? b : a;
}

function compare(a: bigint, b: bigint): number {
  return a < b ? -1 : Number(a > b);
}
