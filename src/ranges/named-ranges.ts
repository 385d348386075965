import { ascending } from "./order.ts";
import type { Range } from "./range.ts";
import { RangeSet } from "./range-set.ts";
import { STEP, type Steps } from "./steps.ts";

/** The most that a name has, in UTF-16 units. */
export const MAX_NAME = 128;

const CUT = "…";

export interface NamedRange extends Range {
  readonly name?: string | undefined;
}

/** A set of addresses whose ranges may have names. Immutable. */
export class NamedRanges implements Iterable<NamedRange> {
  static readonly EMPTY = new NamedRanges(RangeSet.EMPTY);

  readonly ranges: RangeSet;
  /** By the index of the range. */
  readonly #names: ReadonlyMap<number, string>;

  constructor(ranges: RangeSet, names: ReadonlyMap<number, string> = new Map()) {
    this.ranges = ranges;
    this.#names = names;
  }

  /**
   * The union, in which what overlaps or touches is one range: that has the names of its parts, in the order of their
   * starts, each once, joined by ", " and cut at MAX_NAME; parts without a name add none.
   * @throws RangeError for a range with start > last, or not within u64
   */
  static *from(list: readonly NamedRange[]): Steps<NamedRanges> {
    const ranges = yield* RangeSet.fromInSteps(list);
    const named = list.filter(({ name }) => name !== undefined);
    yield;
    const order = yield* ascending(BigUint64Array.from(named, ({ start }) => start));
    const parts = new Map<number, Set<string>>();
    for (const [i, place] of order.entries()) {
      const { start, name } = named[place] as Required<NamedRange>;
      const index = ranges.indexFrom(start);
      const known = parts.get(index) ?? new Set();
      parts.set(index, known.add(name as string));
      if (i % STEP === 0) yield;
    }
    return new NamedRanges(ranges, new Map([...parts].map(([index, names]) => [index, joined(names)])));
  }

  get isEmpty(): boolean {
    return this.ranges.isEmpty;
  }

  *[Symbol.iterator](): Iterator<NamedRange> {
    let index = 0;
    for (const range of this.ranges) {
      const name = this.#names.get(index++);
      yield name === undefined ? range : { ...range, name };
    }
  }

  equals(other: NamedRanges): boolean {
    return (
      this.ranges.equals(other.ranges) &&
      this.#names.size === other.#names.size &&
      [...this.#names].every(([index, name]) => other.#names.get(index) === name)
    );
  }
}

function joined(names: ReadonlySet<string>): string {
  const all = [...names].join(", ");
  if (all.length <= MAX_NAME) return all;
  // No half of a character: it would not survive UTF-8.
  return all.slice(0, MAX_NAME - CUT.length).replace(/[\ud800-\udbff]$/, "") + CUT;
}
