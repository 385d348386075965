import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { U64_MAX } from "../../src/ranges/address.ts";
import { MAX_NAME, type NamedRange, NamedRanges } from "../../src/ranges/named-ranges.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { finish } from "../../src/ranges/steps.ts";
import { rangesAround, UNIVERSES } from "./bitmap.ts";

const from = (list: readonly NamedRange[]) => finish(NamedRanges.from(list));
const name = fc.option(fc.constantFrom("ram", "rom", "nvram", "a", "b"), { nil: undefined });

describe.each(UNIVERSES)("named ranges $name", ({ base }) => {
  const list = fc
    .tuple(rangesAround(base), fc.infiniteStream(name))
    .map(([ranges, names]) => ranges.map((range) => ({ ...range, name: names.next().value })));

  it("are the ranges of their union, each with the names of what lies in it", () => {
    fc.assert(
      fc.property(list, (list) => {
        const all = [...from(list)];
        expect(all.map(({ start, last }) => ({ start, last }))).toEqual([...RangeSet.from(list)]);
        for (const { start, last, name } of all) {
          const within = list.filter((each) => each.start >= start && each.last <= last);
          const names = new Set(within.flatMap((each) => each.name ?? []));
          expect(new Set(name?.split(", "))).toEqual(names);
        }
      }),
    );
  });

  it("have the same names again when they are put together once more", () => {
    fc.assert(
      fc.property(list, (list) => {
        expect([...from([...from(list)])]).toEqual([...from(list)]);
      }),
    );
  });

  it("are equal when the ranges and the names are", () => {
    fc.assert(
      fc.property(list, list, (a, b) => {
        const isSame = JSON.stringify(texts(from(a))) === JSON.stringify(texts(from(b)));
        expect(from(a).equals(from(b))).toBe(isSame);
        expect(from(a).equals(from(a))).toBe(true);
      }),
    );
  });
});

function texts(ranges: NamedRanges): string[] {
  return Array.from(ranges, ({ start, last, name }) => `${start} ${last} ${name}`);
}

describe("the name of what was put together", () => {
  it("lists the parts by their starts, each once", () => {
    const parts = [
      { start: 0x2000n, last: 0x2fffn, name: "bios" },
      { start: 0n, last: 0xfffn, name: "ram" },
      { start: 0x1000n, last: 0x1fffn },
      { start: 0x1800n, last: 0x1fffn, name: "ram" },
    ];
    expect([...from(parts)]).toEqual([{ start: 0n, last: 0x2fffn, name: "ram, bios" }]);
  });

  it.each(["x", "😀"])("is cut where it would be too long to be given as one, of %s", (letter) => {
    const parts = Array.from({ length: 100 }, (_, n) => ({
      start: BigInt(n),
      last: BigInt(n),
      name: `${letter.repeat((n % 9) + 1)}${n}`,
    }));
    const [one] = from(parts);
    expect(one?.name?.length).toBeLessThanOrEqual(MAX_NAME);
    expect(one?.name?.length).toBeGreaterThan(MAX_NAME - 3);
    expect(one?.name).toMatch(/…$/);
    expect(Buffer.from(one?.name ?? "").toString()).toBe(one?.name);
  });

  it("is its own when it is as long as one may be, and stands alone", () => {
    const name = "x".repeat(MAX_NAME);
    expect([...from([{ start: 0n, last: U64_MAX, name }])]).toEqual([{ start: 0n, last: U64_MAX, name }]);
  });
});
