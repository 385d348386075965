import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { U64_MAX } from "../../src/ranges/address.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { runs } from "../runs.ts";
import { Bitmap, rangesIn, UNIVERSES, WIDTH } from "./bitmap.ts";

describe.each(UNIVERSES)("among 64 addresses $name", ({ base }) => {
  test("the place found is the lowest or highest of all that would do", () => {
    const address = fc.nat(WIDTH - 1).map((offset) => base + BigInt(offset));
    const request = fc.record(
      {
        size: fc.integer({ min: 1, max: 12 }).map(BigInt),
        alignment: fc.constantFrom(1n, 2n, 4n, 8n, 16n, 2n ** 40n),
        notBelow: address,
        notAbove: address,
        direction: fc.constantFrom("up" as const, "down" as const),
      },
      { requiredKeys: ["size"] },
    );
    fc.assert(
      fc.property(rangesIn(base), request, (ranges, wanted) => {
        const { size, alignment = 1n, notBelow = base, notAbove = base + 63n, direction } = wanted;
        const { bits } = Bitmap.of(base, ranges);
        const places = bits
          .map((_, i) => ({ start: base + BigInt(i), last: base + BigInt(i) + size - 1n }))
          .filter(({ start, last }) => start % alignment === 0n && start >= notBelow && last <= notAbove)
          .filter(({ start, last }) =>
            bits.slice(Number(start - base), Number(last - base) + 1).every(Boolean),
          );
        expect(RangeSet.from(ranges).findFree(wanted)).toEqual(
          places.at(direction === "down" ? -1 : 0) ?? null,
        );
      }),
      { numRuns: runs(500) },
    );
  });
});

test("the whole address space, 2^64 bytes, is found only where all of it is free", () => {
  expect(RangeSet.ALL.findFree({ size: 2n ** 64n })).toEqual({ start: 0n, last: U64_MAX });
  expect(RangeSet.from([{ start: 1n, last: U64_MAX }]).findFree({ size: 2n ** 64n })).toBeNull();
});

test("the highest place ends at 2^64 - 1", () => {
  expect(RangeSet.ALL.findFree({ size: 0x1000n, alignment: 0x1000n, direction: "down" })).toEqual({
    start: 0xfffffffffffff000n,
    last: 0xffffffffffffffffn,
  });
});

test("a range at the top without an aligned address offers no place", () => {
  const top = RangeSet.from([{ start: U64_MAX - 2n, last: U64_MAX }]);
  expect(top.findFree({ size: 1n, alignment: 0x1000n })).toBeNull();
  expect(top.findFree({ size: 1n, alignment: 0x1000n, direction: "down" })).toBeNull();
});

test("2^63 is the largest alignment", () => {
  expect(RangeSet.ALL.findFree({ size: 1n, alignment: 2n ** 63n, direction: "down" })).toEqual({
    start: 2n ** 63n,
    last: 2n ** 63n,
  });
});

test("the empty set and bounds that cross offer no place", () => {
  expect(RangeSet.EMPTY.findFree({ size: 1n })).toBeNull();
  expect(RangeSet.ALL.findFree({ size: 1n, notBelow: 5n, notAbove: 4n })).toBeNull();
});

test.each([
  { size: 0n },
  { size: -1n },
  { size: 2n ** 64n + 1n },
  { size: 1n, alignment: 0n },
  { size: 1n, alignment: 3n },
  { size: 1n, alignment: -2n },
  { size: 1n, alignment: 2n ** 64n },
  { size: 1n, notBelow: -1n },
  { size: 1n, notAbove: 2n ** 64n },
])("a request out of its limits is refused: %o", (request) => {
  expect(() => RangeSet.ALL.findFree(request)).toThrow(RangeError);
});
