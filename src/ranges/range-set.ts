import { alignRangeInwards, assertAlignment } from "./align.ts";
import { type Bounds, complement, concat, merge, mergeInSteps } from "./bounds.ts";
import { type FreeRangeRequest, findFree } from "./find-free.ts";
import { assertRange, FULL, type Range } from "./range.ts";
import { STEP, type Steps } from "./steps.ts";

/**
 * A set of addresses, in the form in which the kernel answers IOMMU_IOAS_IOVA_RANGES: ranges in ascending order
 * that neither overlap nor touch, so that equal sets have equal ranges. Immutable.
 *
 * Only two operations know how ranges meet: the union (sort and merge) and the complement. The rest of the algebra
 * follows from them by De Morgan's laws, so that there is one sweep to get right instead of four.
 */
export class RangeSet implements Iterable<Range> {
  static readonly EMPTY = RangeSet.from([]);
  static readonly ALL = RangeSet.from([FULL]);

  readonly #bounds: Bounds;

  /** Takes over bounds that are merged already; everyone else comes in by {@link from} or {@link fromBounds}. */
  private constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /**
   * The union of `ranges`, which may come in any order, overlap, touch and repeat.
   * @throws RangeError for a range with start > last, or not within u64
   */
  static from(ranges: Iterable<Range>): RangeSet {
    const list = [...ranges];
    const starts = new BigUint64Array(list.length);
    const lasts = new BigUint64Array(list.length);
    list.forEach((range, i) => {
      assertRange(range); // Storing a bigint in the array would cut it to 64 bits without a word.
      starts[i] = range.start;
      lasts[i] = range.last;
    });
    return new RangeSet(merge({ starts, lasts }));
  }

  /** As {@link from}, of many ranges while others go on. */
  static *fromInSteps(ranges: readonly Range[]): Steps<RangeSet> {
    const starts = new BigUint64Array(ranges.length);
    const lasts = new BigUint64Array(ranges.length);
    for (let i = 0; i < ranges.length; i++) {
      if (i % STEP === 0) yield;
      const range = ranges[i] as Range;
      assertRange(range);
      starts[i] = range.start;
      lasts[i] = range.last;
    }
    return new RangeSet(yield* mergeInSteps({ starts, lasts }));
  }

  /**
   * As {@link from}, for bulk: range i reaches from `starts[i]` to `lasts[i]`, inclusive. The arrays are copied.
   * @throws RangeError for a range with start > last, or arrays of different length
   */
  static fromBounds(starts: BigUint64Array, lasts: BigUint64Array): RangeSet {
    if (starts.length !== lasts.length) {
      throw new RangeError(`${starts.length} starts do not pair with ${lasts.length} lasts`);
    }
    for (let i = 0; i < starts.length; i++) {
      const start = starts[i] as bigint;
      const last = lasts[i] as bigint;
      if (start > last) assertRange({ start, last });
    }
    return new RangeSet(merge({ starts: starts.slice(), lasts: lasts.slice() }));
  }

  /** How many ranges, not how many addresses. */
  get size(): number {
    return this.#bounds.starts.length;
  }

  get isEmpty(): boolean {
    return this.size === 0;
  }

  /** @throws RangeError unless `index` is an integer from 0 to size - 1 */
  at(index: number): Range {
    const start = this.#bounds.starts[index];
    const last = this.#bounds.lasts[index];
    if (start === undefined || last === undefined) {
      throw new RangeError(`there is no range ${index} in a set of ${this.size}`);
    }
    return { start, last };
  }

  *[Symbol.iterator](): Iterator<Range> {
    for (let i = 0; i < this.size; i++) yield this.at(i);
  }

  /** From the lowest address of the set to the highest; null for the empty set. */
  hull(): Range | null {
    return this.isEmpty ? null : { start: this.at(0).start, last: this.at(this.size - 1).last };
  }

  equals(other: RangeSet): boolean {
    const { starts, lasts } = other.#bounds;
    return (
      this.size === other.size &&
      this.#bounds.starts.every((start, i) => start === starts[i]) &&
      this.#bounds.lasts.every((last, i) => last === lasts[i])
    );
  }

  /** The index of the first range that ends at `address` or above it; `size` when there is none. */
  indexFrom(address: bigint): number {
    const { lasts } = this.#bounds;
    let low = 0;
    let high = lasts.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((lasts[middle] as bigint) < address) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  contains(address: bigint): boolean {
    const index = this.indexFrom(address);
    return index < this.size && this.at(index).start <= address;
  }

  /**
   * Whether every address of `range` is in the set.
   * @throws RangeError for start > last, or a range not within u64; so does {@link overlaps}
   */
  covers(range: Range): boolean {
    assertRange(range);
    return this.contains(range.start) && range.last <= this.at(this.indexFrom(range.start)).last;
  }

  /** Whether any address of `range` is in the set. */
  overlaps(range: Range): boolean {
    assertRange(range);
    const index = this.indexFrom(range.start);
    return index < this.size && this.at(index).start <= range.last;
  }

  union(other: RangeSet): RangeSet {
    return new RangeSet(merge(concat(this.#bounds, other.#bounds)));
  }

  intersect(other: RangeSet): RangeSet {
    return this.invert().union(other.invert()).invert();
  }

  /** What is in this set and not in `other`. */
  subtract(other: RangeSet): RangeSet {
    return this.invert().union(other).invert();
  }

  /**
   * The addresses of `within` that are not in this set. Its ranges may lie outside `within` or reach across its bounds.
   * @throws RangeError for start > last, or a range not within u64
   */
  invert(within: Range = FULL): RangeSet {
    const holes = new RangeSet(complement(this.#bounds));
    return within === FULL ? holes : holes.cut(within);
  }

  /**
   * The part of the set that lies in one range: as {@link intersect}, at the cost of a look for its ends.
   * @throws RangeError for start > last, or a range not within u64
   */
  cut(within: Range): RangeSet {
    assertRange(within);
    const from = this.indexFrom(within.start);
    const end = this.indexFrom(within.last);
    const to = end < this.size && this.at(end).start <= within.last ? end + 1 : end;
    if (from >= to) return RangeSet.EMPTY;
    const starts = this.#bounds.starts.slice(from, to);
    const lasts = this.#bounds.lasts.slice(from, to);
    if ((starts[0] as bigint) < within.start) starts[0] = within.start;
    if ((lasts[lasts.length - 1] as bigint) > within.last) lasts[lasts.length - 1] = within.last;
    return new RangeSet({ starts, lasts });
  }

  /**
   * What is left for mappings that start and end on multiples of `alignment` (the kernel's `out_iova_alignment`):
   * every range loses its incomplete blocks at both ends, and one without a complete block is dropped.
   * @throws RangeError unless `alignment` is a power of two from 1 to 2^63
   */
  alignInwards(alignment: bigint): RangeSet {
    assertAlignment(alignment);
    const aligned = Array.from(this, (range) => alignRangeInwards(range, alignment));
    return RangeSet.from(aligned.filter((range) => range !== null));
  }

  /**
   * The lowest (or highest) aligned place of `size` bytes in the set, or null when there is none.
   * @throws RangeError for a size, alignment or bound out of its limits
   */
  findFree(request: FreeRangeRequest): Range | null {
    return findFree(this, request);
  }
}
