import { describe, expect, test } from "vitest";
import { U64_MAX } from "../../src/ranges/address.ts";
import { FULL, formatRange, type Range } from "../../src/ranges/range.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";

describe("making a set", () => {
  test("no ranges make the empty set, the full range makes all", () => {
    expect([...RangeSet.EMPTY]).toEqual([]);
    expect(RangeSet.EMPTY.isEmpty).toBe(true);
    expect([...RangeSet.ALL]).toEqual([FULL]);
    expect(RangeSet.ALL.isEmpty).toBe(false);
  });

  test("unsorted ranges come out ascending", () => {
    expect(text(set([0x30n, 0x3fn], [0x10n, 0x1fn]))).toBe("[0x10, 0x1f] [0x30, 0x3f]");
  });

  test("touching ranges become one, ranges one byte apart stay two", () => {
    expect(text(set([0n, 0xfn], [0x10n, 0x1fn]))).toBe("[0x0, 0x1f]");
    expect(text(set([0n, 0xfn], [0x11n, 0x1fn]))).toBe("[0x0, 0xf] [0x11, 0x1f]");
  });

  test("a nested range disappears in the outer one", () => {
    expect(text(set([0x10n, 0x1fn], [0n, 0xffn], [0x80n, 0x80n]))).toBe("[0x0, 0xff]");
  });

  test("ranges that touch at 2^64 - 1 become one", () => {
    expect(text(set([U64_MAX, U64_MAX], [U64_MAX - 1n, U64_MAX - 1n]))).toBe(
      "[0xfffffffffffffffe, 0xffffffffffffffff]",
    );
  });

  test("the last address does not touch the first one by wrapping", () => {
    expect(set([0n, 0n], [U64_MAX, U64_MAX]).size).toBe(2);
  });

  test("bulk input is left as it was", () => {
    const starts = BigUint64Array.of(9n, 0n, 5n);
    const lasts = BigUint64Array.of(9n, 7n, 6n);
    expect(text(RangeSet.fromBounds(starts, lasts))).toBe("[0x0, 0x7] [0x9, 0x9]");
    expect([...starts]).toEqual([9n, 0n, 5n]);
    expect([...lasts]).toEqual([9n, 7n, 6n]);
  });

  test("a set does not change when its bulk input does", () => {
    const bound = BigUint64Array.of(1n);
    const one = RangeSet.fromBounds(bound, bound);
    bound[0] = 2n;
    expect(text(one)).toBe("[0x1, 0x1]");
  });

  test("a range that starts above its last address is refused, also when another one would hide it", () => {
    expect(() => set([0n, 9n], [5n, 4n])).toThrow(new RangeError("[0x5, 0x4] starts above its last address"));
    expect(() => RangeSet.fromBounds(BigUint64Array.of(0n, 5n), BigUint64Array.of(9n, 4n))).toThrow(
      new RangeError("[0x5, 0x4] starts above its last address"),
    );
  });

  test("a range that does not fit in 64 bits is refused rather than cut", () => {
    expect(() => set([0n, 2n ** 64n])).toThrow(RangeError);
    expect(() => set([-1n, 5n])).toThrow(RangeError);
  });

  test("starts without lasts are refused", () => {
    expect(() => RangeSet.fromBounds(BigUint64Array.of(1n, 2n), BigUint64Array.of(3n))).toThrow(RangeError);
  });
});

describe("the edges of the address space", () => {
  test("all and nothing are each other's complement", () => {
    expect(RangeSet.ALL.invert().equals(RangeSet.EMPTY)).toBe(true);
    expect(RangeSet.EMPTY.invert().equals(RangeSet.ALL)).toBe(true);
  });

  test("one byte at either end leaves one hole", () => {
    expect(text(set([0n, 0n]).invert())).toBe("[0x1, 0xffffffffffffffff]");
    expect(text(set([U64_MAX, U64_MAX]).invert())).toBe("[0x0, 0xfffffffffffffffe]");
  });

  test("all but one byte leaves that byte", () => {
    expect(text(set([0n, 0xfffn], [0x1001n, U64_MAX]).invert())).toBe("[0x1000, 0x1000]");
  });

  test("inverting within an aperture cuts at its bounds and ignores what lies outside", () => {
    const reserved = set([0n, 0xfn], [0x80n, 0x8fn], [0xf8n, 0x107n], [0x200n, 0x2ffn]);
    expect(text(reserved.invert({ start: 0x8n, last: 0xffn }))).toBe("[0x10, 0x7f] [0x90, 0xf7]");
    expect(reserved.invert({ start: 0x82n, last: 0x83n }).isEmpty).toBe(true);
    expect(text(RangeSet.EMPTY.invert({ start: 0x5n, last: 0x5n }))).toBe("[0x5, 0x5]");
  });

  test("inverting within a range that is not one is refused", () => {
    expect(() => RangeSet.EMPTY.invert({ start: 1n, last: 0n })).toThrow(RangeError);
  });
});

describe("aligning inwards", () => {
  test("a range that ends at 2^64 - 1 keeps its end", () => {
    expect(text(set([0x1001n, U64_MAX]).alignInwards(0x1000n))).toBe("[0x2000, 0xffffffffffffffff]");
  });

  test("a range in the last block that is not the whole block is dropped", () => {
    expect(set([U64_MAX - 0xffen, U64_MAX]).alignInwards(0x1000n).isEmpty).toBe(true);
    expect(set([0n, 0xffen]).alignInwards(0x1000n).isEmpty).toBe(true);
  });

  test("2^63 leaves halves of the address space", () => {
    expect(text(set([1n, U64_MAX]).alignInwards(2n ** 63n))).toBe("[0x8000000000000000, 0xffffffffffffffff]");
    expect(text(RangeSet.ALL.alignInwards(2n ** 63n))).toBe("[0x0, 0xffffffffffffffff]");
  });

  test.each([0n, 3n, -4096n, 2n ** 64n])("an alignment of %d is refused", (alignment) => {
    expect(() => RangeSet.ALL.alignInwards(alignment)).toThrow(RangeError);
  });
});

describe("looking into a set", () => {
  const two = set([0x10n, 0x1fn], [0x30n, 0x3fn]);

  test("its hull reaches from its lowest to its highest address", () => {
    expect(two.hull()).toEqual({ start: 0x10n, last: 0x3fn });
    expect(RangeSet.EMPTY.hull()).toBeNull();
  });

  test("its ranges can be had by index, and no others", () => {
    expect(two.size).toBe(2);
    expect(two.at(1)).toEqual({ start: 0x30n, last: 0x3fn });
    for (const index of [-1, 2, 0.5]) expect(() => two.at(index)).toThrow(RangeError);
  });

  test("the index from an address is that of the range around it or the next above", () => {
    expect([0x0n, 0x1fn, 0x20n, 0x3fn, 0x40n].map((address) => two.indexFrom(address))).toEqual([
      0, 0, 1, 1, 2,
    ]);
  });

  test("a range that spans a hole overlaps but is not covered", () => {
    expect(two.overlaps({ start: 0x1fn, last: 0x30n })).toBe(true);
    expect(two.covers({ start: 0x1fn, last: 0x30n })).toBe(false);
  });

  test("a question about a range that is not one is refused", () => {
    expect(() => two.covers({ start: 2n, last: 1n })).toThrow(RangeError);
    expect(() => two.overlaps({ start: 2n, last: 1n })).toThrow(RangeError);
  });
});

function set(...bounds: [start: bigint, last: bigint][]): RangeSet {
  return RangeSet.from(bounds.map(([start, last]): Range => ({ start, last })));
}

function text(ranges: RangeSet): string {
  return [...ranges].map(formatRange).join(" ");
}
