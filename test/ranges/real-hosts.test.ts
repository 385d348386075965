import { describe, expect, test } from "vitest";
import { formatRange } from "../../src/ranges/range.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";

// Reserved regions that real hosts print in sysfs, and what is left of the address space without an aperture.
const HOSTS = [
  {
    host: "an Intel network card",
    reserved: [[0xfee00000n, 0xfeefffffn]],
    allowed: "[0x0, 0xfedfffff] [0xfef00000, 0xffffffffffffffff]",
  },
  {
    host: "an Intel ISA bridge",
    reserved: [
      [0x0n, 0xffffffn],
      [0xfee00000n, 0xfeefffffn],
    ],
    allowed: "[0x1000000, 0xfedfffff] [0xfef00000, 0xffffffffffffffff]",
  },
  {
    host: "a server with an RMRR",
    reserved: [
      [0x0n, 0xffffffn],
      [0xbdf6e000n, 0xbdf84fffn],
      [0xfee00000n, 0xfeefffffn],
    ],
    allowed: "[0x1000000, 0xbdf6dfff] [0xbdf85000, 0xfedfffff] [0xfef00000, 0xffffffffffffffff]",
  },
  {
    host: "an AMD host with the HyperTransport hole",
    reserved: [
      [0xfee00000n, 0xfeefffffn],
      [0xfd00000000n, 0xffffffffffn],
    ],
    allowed: "[0x0, 0xfedfffff] [0xfef00000, 0xfcffffffff] [0x10000000000, 0xffffffffffffffff]",
  },
  {
    host: "an Arm server with a software MSI window and an ITS",
    reserved: [
      [0x8000000n, 0x80fffffn],
      [0xc6010000n, 0xc601ffffn],
    ],
    allowed: "[0x0, 0x7ffffff] [0x8100000, 0xc600ffff] [0xc6020000, 0xffffffffffffffff]",
  },
  {
    host: "an Arm RAID controller with reserved memory of the firmware",
    reserved: [
      [0x8000000n, 0x80fffffn],
      [0x27b00000n, 0x286fffffn],
      [0xe6400000n, 0xe64fffffn],
    ],
    allowed:
      "[0x0, 0x7ffffff] [0x8100000, 0x27afffff] [0x28700000, 0xe63fffff] [0xe6500000, 0xffffffffffffffff]",
  },
] as const;

describe.each(HOSTS)("on $host", ({ reserved, allowed }) => {
  const ranges = reserved.map(([start, last]) => ({ start, last }));

  test("what is not reserved is allowed", () => {
    expect([...RangeSet.from(ranges).invert()].map(formatRange).join(" ")).toBe(allowed);
  });

  test("a file read twice and backwards gives the same", () => {
    const doubled = [...ranges, ...ranges].reverse();
    expect([...RangeSet.from(doubled).invert()].map(formatRange).join(" ")).toBe(allowed);
  });
});

test("VT-d with 39 bits and AMD-Vi together allow what both allow", () => {
  const vtd = RangeSet.from([{ start: 0xfee00000n, last: 0xfeefffffn }]).invert({
    start: 0n,
    last: 0x7fffffffffn,
  });
  const amd = RangeSet.from([
    { start: 0xfee00000n, last: 0xfeefffffn },
    { start: 0xfd00000000n, last: 0xffffffffffn },
  ]).invert();
  expect([...vtd].map(formatRange).join(" ")).toBe("[0x0, 0xfedfffff] [0xfef00000, 0x7fffffffff]");
  expect(vtd.intersect(amd).equals(vtd)).toBe(true);
});
