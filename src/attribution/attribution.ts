import { ascending } from "../ranges/order.ts";
import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import { STEP, type Steps } from "../ranges/steps.ts";
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
  const { causes, ids } = yield* numberCauses(concerned);
  const byStart = yield* ascending(yield* keysOf(concerned, ({ start }) => start));
  const byLast = yield* ascending(yield* keysOf(concerned, ({ last }) => last));
  const open = new OpenCauses(causes);
  const pieces = new Pieces(within);
  let from = 0n;
  let due = STEP;
  for (let i = 0, j = 0; j < byLast.length; ) {
    if (i + j >= due) {
      yield;
      due = i + j + STEP;
    }
    const next = concerned[byStart[i] ?? -1]?.start;
    const { last } = concerned[byLast[j] as number] as Claim;
    const bound = next !== undefined && next <= last ? next : last + 1n;
    for (; concerned[byStart[i] ?? -1]?.start === bound; i++)
      open.add(ids[byStart[i] as number] as number, 1);
    for (; j < byLast.length && (concerned[byLast[j] as number] as Claim).last === bound - 1n; j++) {
      open.add(ids[byLast[j] as number] as number, -1);
    }
    // A cause whose one claim ends where its next begins goes on: the range is not split there.
    if (open.hasChanged) {
      if (!open.isEmpty) {
        const causes = open.inOrder();
        if (within === RangeSet.ALL) yield { start: from, last: bound - 1n, causes };
        else yield* pieces.of(from, bound - 1n, causes);
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

function* keysOf(claims: readonly Claim[], key: (claim: Claim) => bigint): Steps<BigUint64Array> {
  const keys = new BigUint64Array(claims.length);
  for (let i = 0; i < claims.length; i++) {
    if (i % STEP === 0) yield;
    keys[i] = key(claims[i] as Claim);
  }
  return keys;
}

/** The different causes in the order of their keys, and for every claim the number of its cause among them. */
function* numberCauses(claims: readonly Claim[]): Steps<{ causes: Cause[]; ids: Uint32Array }> {
  const keys = new Map<Cause, string>();
  for (let i = 0; i < claims.length; i++) {
    if (i % STEP === 0) yield;
    const { cause } = claims[i] as Claim;
    if (!keys.has(cause)) keys.set(cause, causeKey(cause));
  }
  const byKey = new Map([...keys].map(([cause, key]) => [key, cause]));
  yield;
  const sorted = [...byKey.keys()].sort();
  yield;
  const numbers = new Map(sorted.map((key, number) => [key, number]));
  const ids = new Uint32Array(claims.length);
  for (let i = 0; i < claims.length; i++) {
    if (i % STEP === 0) yield;
    ids[i] = numbers.get(keys.get((claims[i] as Claim).cause) as string) as number;
  }
  return { causes: sorted.map((key) => byKey.get(key) as Cause), ids };
}

/** The causes that hold where a sweep has got to, and those that begin or end there. */
class OpenCauses {
  readonly #causes: readonly Cause[];
  /** How many claims each cause has here, by its number. */
  readonly #counts: Int32Array;
  /** The numbers of those that had any before this place. */
  readonly #before = new Set<number>();
  readonly #touched: number[] = [];

  constructor(causes: readonly Cause[]) {
    this.#causes = causes;
    this.#counts = new Int32Array(causes.length);
  }

  get isEmpty(): boolean {
    return this.#before.size === 0;
  }

  add(id: number, by: 1 | -1): void {
    (this.#counts[id] as number) += by;
    this.#touched.push(id);
  }

  /** Whether this place has other causes than the one before. */
  get hasChanged(): boolean {
    return this.#touched.some((id) => this.#before.has(id) !== (this.#counts[id] as number) > 0);
  }

  /** From here on, this place is the one before. */
  settle(): void {
    for (const id of this.#touched) {
      if ((this.#counts[id] as number) > 0) this.#before.add(id);
      else this.#before.delete(id);
    }
    this.#touched.length = 0;
  }

  /** The causes of the place before. */
  inOrder(): Cause[] {
    const ids = [...this.#before];
    if (ids.length > 1) ids.sort((a, b) => a - b);
    return ids.map((id) => this.#causes[id] as Cause);
  }
}

/** Cuts ascending ranges to what lies within a set. */
class Pieces {
  readonly #within: RangeSet;
  #next = 0;

  constructor(within: RangeSet) {
    this.#within = within;
  }

  *of(start: bigint, last: bigint, causes: readonly Cause[]): Generator<Exclusion, void, undefined> {
    for (; this.#next < this.#within.size; this.#next++) {
      const piece = this.#within.at(this.#next);
      if (piece.start > last) return;
      if (piece.last >= start) {
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
