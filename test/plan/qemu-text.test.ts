import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { qemuReservedRegions } from "../../src/plan/qemu-text.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { finish } from "../../src/ranges/steps.ts";
import { rangesAround, UNIVERSES } from "../ranges/bitmap.ts";

describe("QEMU's text form of reserved regions", () => {
  it("marks MSI windows, and what lies outside an aperture as reserved", () => {
    const msi = { start: 0xfee00000n, last: 0xfeefffffn };
    const reserved = RangeSet.from([msi, { start: 0x8000000000n, last: 2n ** 64n - 1n }]);
    expect(finish(qemuReservedRegions(reserved, [msi]))).toEqual([
      "0xfee00000:0xfeefffff:1",
      "0x8000000000:0xffffffffffffffff:0",
    ]);
  });

  it("is empty when nothing is reserved", () => {
    expect(finish(qemuReservedRegions(RangeSet.EMPTY, []))).toEqual([]);
  });

  it.each(UNIVERSES)("holds every reserved address once, by its type, $name", ({ base }) => {
    fc.assert(
      fc.property(rangesAround(base), rangesAround(base), (all, windows) => {
        const reserved = RangeSet.from(all);
        const regions = finish(qemuReservedRegions(reserved, windows)).map((text) => {
          const [, low = "", high = "", type] = /^(0x[0-9a-f]+):(0x[0-9a-f]+):([01])$/.exec(text) ?? [];
          return { start: BigInt(low), last: BigInt(high), type };
        });
        for (const [i, { start }] of regions.entries()) {
          expect(i === 0 || start > (regions[i - 1]?.last as bigint)).toBe(true);
        }
        const typed = (type: string) => RangeSet.from(regions.filter((region) => region.type === type));
        const msi = reserved.intersect(RangeSet.from(windows));
        expect(typed("1").equals(msi)).toBe(true);
        expect(typed("0").equals(reserved.subtract(msi))).toBe(true);
        expect(regions.length).toBe(msi.size + reserved.subtract(msi).size);
      }),
    );
  });
});
