import fc from "fast-check";
import { U64_MAX } from "../../src/ranges/address.ts";
import type { Range } from "../../src/ranges/range.ts";

export const WIDTH = 64;

/** Where the 64 addresses that a bitmap looks at begin: at the bottom, at the top, across two carries. */
export const UNIVERSES = [
  { name: "at the bottom", base: 0n },
  { name: "across 2^32", base: 2n ** 32n - 32n },
  { name: "across 2^63", base: 2n ** 63n - 32n },
  { name: "at the top", base: 2n ** 64n - 64n },
];

/**
 * The model that the ranges are held against: one boolean for each of 64 addresses, and one each for all that is
 * below them and above them. It knows nothing of starts and lasts but in the two conversions.
 */
export class Bitmap {
  readonly base: bigint;
  readonly below: boolean;
  readonly bits: readonly boolean[];
  readonly above: boolean;

  constructor(base: bigint, below: boolean, bits: readonly boolean[], above: boolean) {
    this.base = base;
    this.below = below;
    this.bits = bits;
    this.above = above;
  }

  /** What `ranges` cover; one that leaves the 64 addresses must reach the end of the address space. */
  static of(base: bigint, ranges: readonly Range[]): Bitmap {
    const covered = (address: bigint) => ranges.some((r) => r.start <= address && address <= r.last);
    const bits = Array.from({ length: WIDTH }, (_, i) => covered(base + BigInt(i)));
    return new Bitmap(base, covered(base - 1n), bits, covered(base + BigInt(WIDTH)));
  }

  /** A new bitmap of `decide(own, other)` at every place. */
  with(other: Bitmap, decide: (own: boolean, other: boolean) => boolean): Bitmap {
    return new Bitmap(
      this.base,
      decide(this.below, other.below),
      this.bits.map((bit, i) => decide(bit, other.bits[i] as boolean)),
      decide(this.above, other.above),
    );
  }

  /** Only whole blocks of `alignment` addresses; it must divide the base. */
  blocks(alignment: number): Bitmap {
    const whole = (i: number) => {
      const from = i - (i % alignment);
      return this.bits.slice(from, from + alignment).every(Boolean);
    };
    return new Bitmap(
      this.base,
      this.below,
      this.bits.map((_, i) => whole(i)),
      this.above,
    );
  }

  /** The ranges an answer must consist of. */
  ranges(): Range[] {
    const places: { start: bigint; last: bigint; covered: boolean }[] = this.bits.map((covered, i) => ({
      start: this.base + BigInt(i),
      last: this.base + BigInt(i),
      covered,
    }));
    if (this.base > 0n) places.unshift({ start: 0n, last: this.base - 1n, covered: this.below });
    const next = this.base + BigInt(WIDTH);
    if (next <= U64_MAX) places.push({ start: next, last: U64_MAX, covered: this.above });

    const runs: { start: bigint; last: bigint }[] = [];
    let previous = false;
    for (const { start, last, covered } of places) {
      const run = runs.at(-1);
      if (covered && previous && run) run.last = last;
      else if (covered) runs.push({ start, last });
      previous = covered;
    }
    return runs;
  }
}

/** A range among the 64 addresses. */
export function rangeIn(base: bigint): fc.Arbitrary<Range> {
  const offset = fc.nat(WIDTH - 1);
  return fc.tuple(offset, offset).map(([a, b]) => ({
    start: base + BigInt(Math.min(a, b)),
    last: base + BigInt(Math.max(a, b)),
  }));
}

/** Short ranges, so that many of them leave gaps, in any order, overlapping, touching, nested and repeated. */
export function rangesIn(base: bigint): fc.Arbitrary<Range[]> {
  const short = fc.tuple(fc.nat(WIDTH - 1), fc.nat(6)).map(([offset, reach]) => ({
    start: base + BigInt(offset),
    last: base + BigInt(Math.min(offset + reach, WIDTH - 1)),
  }));
  return fc.array(fc.oneof({ weight: 6, arbitrary: short }, { weight: 1, arbitrary: rangeIn(base) }), {
    maxLength: 12,
  });
}

/** The same, now and then with ranges that come from the bottom or go on to the top of the address space. */
export function rangesAround(base: bigint): fc.Arbitrary<Range[]> {
  const address = fc.nat(WIDTH - 1).map((offset) => base + BigInt(offset));
  const fromBottom = address.map((last) => ({ start: 0n, last }));
  const toTop = address.map((start) => ({ start, last: U64_MAX }));
  return fc.tuple(rangesIn(base), fc.option(fromBottom), fc.option(toTop)).chain(([inside, low, high]) => {
    const all = [...inside, low, high].filter((range) => range !== null);
    return fc.shuffledSubarray(all, { minLength: all.length });
  });
}
