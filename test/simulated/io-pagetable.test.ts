import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IoPagetable } from "../../src/kernel/simulated/io-pagetable.ts";
import { outcome } from "../conformance/session.ts";

const U64_MAX = (1n << 64n) - 1n;
/** The model looks at these addresses one by one. */
const POINTS = 48;

const smallRange = fc
  .tuple(fc.nat(POINTS - 9), fc.integer({ min: 1, max: 8 }))
  .map(([start, length]) => ({ start: BigInt(start), last: BigInt(start + length) }));

const owners = [{}, {}, {}];
const owner = fc.constantFrom(...owners);

/** Which of the addresses are in any of the ranges. */
const pointsOf = (ranges: readonly { start: bigint; last: bigint }[]) =>
  Array.from({ length: POINTS }, (_, point) =>
    ranges.some(({ start, last }) => start <= point && point <= last),
  );

describe("IOVA ranges", () => {
  it("are what nobody reserves, in as few ranges as can be", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(smallRange, owner)), owner, (reservations, gone) => {
        const pagetable = new IoPagetable(4096);
        for (const [range, by] of reservations) pagetable.reserve(range, by);
        pagetable.iovaRanges();
        pagetable.unreserve(gone);

        const left = reservations.filter(([, by]) => by !== gone).map(([range]) => range);
        const ranges = pagetable.iovaRanges();
        expect(pointsOf(ranges)).toEqual(pointsOf(left).map((reserved) => !reserved));
        expect(ranges.at(-1)?.last).toBe(U64_MAX);
        ranges.slice(1).forEach(({ start }, index) => {
          expect(start).toBeGreaterThan((ranges[index]?.last ?? 0n) + 1n);
        });
      }),
    );
  });

  it("can be none at all, or a single byte at either end", () => {
    const pagetable = new IoPagetable(4096);
    pagetable.reserve({ start: 1n, last: U64_MAX - 1n }, {});
    expect(pagetable.iovaRanges()).toEqual([
      { start: 0n, last: 0n },
      { start: U64_MAX, last: U64_MAX },
    ]);
    pagetable.reserve({ start: 0n, last: U64_MAX }, {});
    expect(pagetable.iovaRanges()).toEqual([]);
  });

  it("are not rounded to pages", () => {
    const pagetable = new IoPagetable(4096);
    pagetable.addDomain({ aperture: { start: 0x10n, last: 0xffefn }, pageSize: 4096 });
    expect(pagetable.iovaRanges()).toEqual([{ start: 0x10n, last: 0xffefn }]);
  });
});

describe("reserved, allowed and mapped ranges", () => {
  it("keep out of each other's way as the kernel has it", async () => {
    const step = fc.tuple(fc.constantFrom("reserve", "allow", "map"), smallRange, fc.array(smallRange));
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const pagetable = new IoPagetable(4096);
        const state = { reserved: [] as Range[], allowed: [] as Range[], mapped: [] as Range[] };
        for (const [what, range, list] of steps) {
          if (what === "reserve") {
            const free = !meets(range, state.mapped) && !meets(range, state.allowed);
            expect(await outcome(() => pagetable.reserve(range, {}))).toBe(free ? "OK" : "EADDRINUSE");
            if (free) state.reserved.push(range);
          } else if (what === "allow") {
            const disjoint = list
              .filter((each, index) => !meets(each, list.slice(0, index)))
              .sort((a, b) => Number(a.start - b.start));
            const free = !disjoint.some((each) => meets(each, state.reserved));
            expect(await outcome(() => pagetable.setAllowed(disjoint))).toBe(free ? "OK" : "EADDRINUSE");
            if (free) state.allowed = disjoint;
          } else {
            const expected = meets(range, state.reserved)
              ? "EINVAL"
              : meets(range, state.mapped)
                ? "EEXIST"
                : "OK";
            const length = range.last - range.start + 1n;
            expect(await outcome(() => pagetable.map(range.start, 0n, length))).toBe(expected);
            if (expected === "OK") state.mapped.push(range);
          }
        }
      }),
    );
  });

  it("leave an address for a mapping without one: aligned to its size or memory, and never the first page", () => {
    const pagetable = new IoPagetable(4096);
    expect(pagetable.map(undefined, 0n, 0x1000n)).toBe(0x1000n);
    expect(pagetable.map(undefined, 0n, 0x1000n)).toBe(0x2000n);
    pagetable.reserve({ start: 0x3000n, last: 0x3fffn }, {});
    expect(pagetable.map(undefined, 0n, 0x2000n)).toBe(0x4000n);
    expect(pagetable.map(undefined, 0x7f0000000800n, 0x100n)).toBe(0x6800n);
    pagetable.setAllowed([
      { start: 0x8000n, last: 0xffffn },
      { start: 0x20000n, last: 0x20fffn },
    ]);
    expect(pagetable.map(undefined, 0n, 0x8000n)).toBe(0x8000n);
    expect(pagetable.map(undefined, 0n, 0x1000n)).toBe(0x20000n);
    expect(() => pagetable.map(undefined, 0n, 0x1000n)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
  });

  it("leave an address for a mapping without one beyond the first page, whatever a page is", () => {
    const pagetable = new IoPagetable(65536);
    expect(pagetable.map(undefined, 0n, 0x1000n)).toBe(0x10000n);
    expect(pagetable.map(undefined, 0x7f000000f000n, 0x1000n)).toBe(0x1f000n);
    expect(() => pagetable.setLargePages(false)).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
    const empty = new IoPagetable(65536);
    empty.setLargePages(false);
    expect(empty.alignment).toBe(65536n);
  });

  it("let a mapping without an address lie across allowed ranges that touch", () => {
    const pagetable = new IoPagetable(4096);
    pagetable.setAllowed([
      { start: 0x1000n, last: 0x1fffn },
      { start: 0x2000n, last: 0x2fffn },
    ]);
    expect(pagetable.map(undefined, 0n, 0x2000n)).toBe(0x1000n);
  });
});

describe("a domain", () => {
  const aperture = { start: 0x1000n, last: 0xffffn };

  it.each([4096, 16384, 65536])("with pages larger than the machine's %i bytes is EINVAL", (pageSize) => {
    const pagetable = new IoPagetable(pageSize);
    expect(() => pagetable.addDomain({ aperture, pageSize: 2 * pageSize })).toThrow(
      expect.objectContaining({ code: "EINVAL" }),
    );
    expect(pagetable.iovaRanges()).toEqual([{ start: 0n, last: U64_MAX }]);
    pagetable.addDomain({ aperture, pageSize });
    expect(pagetable.alignment).toBe(BigInt(pageSize));
  });

  it("sets the alignment to the largest page of all that are there", () => {
    const pagetable = new IoPagetable(4096);
    const small = { aperture, pageSize: 256 };
    const large = { aperture, pageSize: 4096 };
    pagetable.addDomain(small);
    expect(pagetable.alignment).toBe(256n);
    pagetable.addDomain(large);
    expect(pagetable.alignment).toBe(4096n);
    pagetable.removeDomain(large);
    expect(pagetable.alignment).toBe(256n);
    pagetable.removeDomain(small);
    expect(pagetable.alignment).toBe(1n);
    expect(pagetable.iovaRanges()).toEqual([{ start: 0n, last: U64_MAX }]);
  });

  it("that is refused because of the upper end of its aperture takes back the lower", () => {
    const pagetable = new IoPagetable(4096);
    pagetable.map(0x10000n, 0n, 0x1000n);
    expect(() => pagetable.addDomain({ aperture, pageSize: 4096 })).toThrow(
      expect.objectContaining({ code: "EADDRINUSE" }),
    );
    expect(pagetable.iovaRanges()).toEqual([{ start: 0n, last: U64_MAX }]);
    expect(pagetable.alignment).toBe(1n);
  });
});

interface Range {
  start: bigint;
  last: bigint;
}

const meets = (range: Range, others: readonly Range[]) =>
  others.some(({ start, last }) => start <= range.last && range.start <= last);
