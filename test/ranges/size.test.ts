import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { U64_MAX } from "../../src/ranges/address.ts";
import { formatSize, parseSize } from "../../src/ranges/size.ts";

const UNITS = ["b", "k", "m", "g", "t", "p", "e"];

describe("a size", () => {
  it.each([
    ["1536G", 1536n << 30n],
    ["1.5T", 1536n << 30n],
    ["512M", 512n << 20n],
    ["512m", 512n << 20n],
    ["0k", 0n],
    ["7b", 7n],
    [".5g", 512n << 20n],
    ["2.T", 2n << 40n],
    ["15.5e", 31n << 59n],
    ["18446744073709551615B", U64_MAX],
  ])("may be written %s", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each([
    "",
    "G",
    ".",
    ".G",
    "4",
    "-1G",
    "+1G",
    "1 G",
    " 1G",
    "1G ",
    "1G\n",
    "1GiB",
    "1GB",
    "1e3",
    "0x1G",
    "1.5.5G",
    "1,5G",
    "NaNG",
    "1x",
  ])("may not be written %j", (text) => {
    expect(() => parseSize(text)).toThrow("expected a number and a unit");
  });

  it.each(["16E", "16384p", "18446744073709551616b", "99999999999999999999E"])(
    "of %s is too much for 64 bits",
    (text) => {
      expect(() => parseSize(text)).toThrow("expected a size within 64 bits");
    },
  );

  it("has no parts of a byte", () => {
    expect(() => parseSize("1.5b")).toThrow("expected a whole number of bytes");
    expect(() => parseSize("1.00000000000000000000001b")).toThrow("expected a whole number of bytes");
    expect(parseSize("1.0b")).toBe(1n);
  });

  // What QEMU 7.2, 10.0 and 11.1 take these for, as maxmem of a virt guest.
  it.each([
    ["4.1G", 4402341478n],
    ["4.7G", 5046586573n],
    ["4.00000000012G", 4294967296n],
    ["4.0000000007G", 4294967297n],
  ])("of a fraction is rounded to the nearest byte: %s", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it("is the number times the power of 1024, in every unit, whole or with a binary fraction", () => {
    const written = fc.tuple(
      fc.nat({ max: 15 }),
      fc.nat({ max: 1023 }),
      fc.integer({ min: 1, max: 6 }),
      fc.boolean(),
    );
    fc.assert(
      fc.property(written, ([whole, parts, power, upper]) => {
        const unit = `${UNITS[power]}`;
        // 1024 parts have at most ten decimal places, and all of them fit into a double.
        const text = `${(whole + parts / 1024).toFixed(10)}${upper ? unit.toUpperCase() : unit}`;
        const below = 1024n ** BigInt(power - 1);
        expect(parseSize(text)).toBe(BigInt(whole) * 1024n * below + BigInt(parts) * below);
      }),
    );
  });

  it("is off by no more than half a byte and a double's precision", () => {
    const decimal = fc.tuple(
      fc.nat({ max: 999 }),
      fc.bigInt({ min: 0n, max: 10n ** 12n - 1n }),
      fc.integer({ min: 1, max: 5 }),
    );
    fc.assert(
      fc.property(decimal, ([whole, places, power]) => {
        const size = parseSize(`${whole}.${places.toString().padStart(12, "0")}${UNITS[power]}`);
        const unit = 1024n ** BigInt(power);
        // All of it times 10^12.
        const exact = (BigInt(whole) * 10n ** 12n + places) * unit;
        const off = size * 10n ** 12n - exact;
        expect(off < 0n ? -off : off).toBeLessThanOrEqual(10n ** 12n / 2n + (10n ** 12n * unit) / 2n ** 53n);
      }),
    );
  });

  it("is written in the largest unit of which it is a whole number, and read back", () => {
    expect([0n, 1023n, 1024n, 1536n << 30n, 1n << 40n, 1n << 63n].map(formatSize)).toEqual([
      "0B",
      "1023B",
      "1K",
      "1536G",
      "1T",
      "8E",
    ]);
    fc.assert(
      fc.property(fc.bigInt(0n, U64_MAX), (bytes) => {
        expect(parseSize(formatSize(bytes))).toBe(bytes);
      }),
    );
  });

  it("of a megabyte of digits is refused in no time", () => {
    expect(() => parseSize(`${"1".repeat(1_000_000)}G`)).toThrow(RangeError);
    expect(() => parseSize(`${"1.".repeat(500_000)}G`)).toThrow(RangeError);
  });
});
