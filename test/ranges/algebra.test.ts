import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { finish } from "../../src/ranges/steps.ts";
import { Bitmap, rangeIn, rangesAround, rangesIn, UNIVERSES, WIDTH } from "./bitmap.ts";

// Every operation against a bitmap, at the places where a carry or the edge of the address space is near.
describe.each(UNIVERSES)("64 addresses $name", ({ base }) => {
  const ranges = rangesAround(base);
  const addresses = Array.from({ length: WIDTH }, (_, i) => base + BigInt(i));

  test("a set is the ascending, disjoint, never touching form of its ranges", () => {
    fc.assert(
      fc.property(ranges, (a) => {
        const expected = Bitmap.of(base, a).ranges();
        expect([...RangeSet.from(a)]).toEqual(expected);
        expect([...fromBounds(a)]).toEqual(expected);
        expect([...finish(RangeSet.fromInSteps(a))]).toEqual(expected);
      }),
    );
  });

  test("union, intersection and difference are those of the addresses", () => {
    fc.assert(
      fc.property(ranges, ranges, (a, b) => {
        const [setA, setB] = [RangeSet.from(a), RangeSet.from(b)];
        const [mapA, mapB] = [Bitmap.of(base, a), Bitmap.of(base, b)];
        expect([...setA.union(setB)]).toEqual(mapA.with(mapB, (x, y) => x || y).ranges());
        expect([...setA.intersect(setB)]).toEqual(mapA.with(mapB, (x, y) => x && y).ranges());
        expect([...setA.subtract(setB)]).toEqual(mapA.with(mapB, (x, y) => x && !y).ranges());
      }),
    );
  });

  test("inverting takes what is not there, of the whole space or of a part of it", () => {
    fc.assert(
      fc.property(ranges, rangeIn(base), (a, within) => {
        const map = Bitmap.of(base, a);
        expect([...RangeSet.from(a).invert()]).toEqual(map.with(map, (x) => !x).ranges());
        expect([...RangeSet.from(a).invert(within)]).toEqual(
          Bitmap.of(base, [within])
            .with(map, (inside, x) => inside && !x)
            .ranges(),
        );
      }),
    );
  });

  test("cutting takes what lies in one range", () => {
    fc.assert(
      fc.property(ranges, rangeIn(base), (a, within) => {
        const inside = Bitmap.of(base, [within]);
        const expected = Bitmap.of(base, a).with(inside, (x, y) => x && y);
        expect([...RangeSet.from(a).cut(within)]).toEqual(expected.ranges());
      }),
    );
  });

  test("aligning inwards keeps the whole blocks", () => {
    fc.assert(
      fc.property(ranges, fc.constantFrom(1, 2, 4, 8, 16, 32), (a, alignment) => {
        expect([...RangeSet.from(a).alignInwards(BigInt(alignment))]).toEqual(
          Bitmap.of(base, a).blocks(alignment).ranges(),
        );
      }),
    );
  });

  test("contains, covers and overlaps ask about the addresses", () => {
    fc.assert(
      fc.property(ranges, rangeIn(base), (a, range) => {
        const set = RangeSet.from(a);
        const { bits } = Bitmap.of(base, a);
        expect(addresses.map((address) => set.contains(address))).toEqual(bits);
        const asked = bits.slice(Number(range.start - base), Number(range.last - base) + 1);
        expect(set.covers(range)).toBe(asked.every(Boolean));
        expect(set.overlaps(range)).toBe(asked.some(Boolean));
      }),
    );
  });

  test("sets are equal when they hold the same addresses", () => {
    fc.assert(
      fc.property(rangesIn(base), rangesIn(base), (a, b) => {
        const same = Bitmap.of(base, a).bits.every((bit, i) => bit === Bitmap.of(base, b).bits[i]);
        expect(RangeSet.from(a).equals(RangeSet.from(b))).toBe(same);
        expect(RangeSet.from(a).equals(RangeSet.from([...a].reverse().concat(a)))).toBe(true);
      }),
    );
  });
});

function fromBounds(ranges: readonly { start: bigint; last: bigint }[]): RangeSet {
  return RangeSet.fromBounds(
    BigUint64Array.from(ranges, (range) => range.start),
    BigUint64Array.from(ranges, (range) => range.last),
  );
}
