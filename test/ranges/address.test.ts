import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatAddress, parseAddress, U64_MAX } from "../../src/ranges/address.ts";

const address = fc.bigInt({ min: 0n, max: U64_MAX });

describe("parseAddress", () => {
  test("reads what formatAddress writes", () => {
    fc.assert(
      fc.property(address, (value) => {
        expect(parseAddress(formatAddress(value))).toBe(value);
      }),
    );
  });

  test("accepts upper case and any number of leading zeros", () => {
    fc.assert(
      fc.property(address, fc.nat(100), (value, zeros) => {
        const digits = value.toString(16).toUpperCase();
        expect(parseAddress(`0x${"0".repeat(zeros)}${digits}`)).toBe(value);
      }),
    );
  });

  test("reads both ends of the address space", () => {
    expect(parseAddress("0x0")).toBe(0n);
    expect(parseAddress("0x0000000000000000")).toBe(0n);
    expect(parseAddress("0XFEE00000")).toBe(0xfee00000n);
    expect(parseAddress("0xffffffffffffffff")).toBe(2n ** 64n - 1n);
  });

  test.each(["", "0x", "10", "fee00000", "-0x1", "0x-1", " 0x1", "0x1 ", "0x1\n", "0xg", "0x1_0", "0x1n"])(
    "refuses %j as not an address",
    (text) => {
      expect(() => parseAddress(text)).toThrow(
        new RangeError(`${JSON.stringify(text)} is not an address: write 0x and hexadecimal digits`),
      );
    },
  );

  test("refuses more than 64 bits, and says so", () => {
    expect(() => parseAddress("0x10000000000000000")).toThrow(
      new RangeError('"0x10000000000000000" does not fit in 64 bits'),
    );
    expect(() => parseAddress("0x00010000000000000000")).toThrow(RangeError);
  });

  test.each(["x", "f"])("does not repeat a megabyte of %j in its message", (digit) => {
    const message = messageOf(() => parseAddress(`0x${digit.repeat(1 << 20)}`));
    expect(message.length).toBeLessThan(120);
  });
});

describe("formatAddress", () => {
  test("writes lower case with 0x and no padding", () => {
    expect(formatAddress(0xfee00000n)).toBe("0xfee00000");
    expect(formatAddress(0n)).toBe("0x0");
    expect(formatAddress(U64_MAX)).toBe("0xffffffffffffffff");
  });
});

function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof RangeError) return error.message;
    throw error;
  }
  throw new Error("nothing was thrown");
}
