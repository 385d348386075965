import { expect, test } from "vitest";
import { assertRange, FULL, formatRange } from "../../src/ranges/range.ts";

test("the full range reaches from 0 to 2^64 - 1 and cannot be changed", () => {
  expect(FULL).toEqual({ start: 0n, last: 2n ** 64n - 1n });
  expect(Object.isFrozen(FULL)).toBe(true);
});

test("a range is written with both its bounds", () => {
  expect(formatRange({ start: 0n, last: 0xfffn })).toBe("[0x0, 0xfff]");
});

test("one address and the full range are ranges", () => {
  expect(() => assertRange({ start: 7n, last: 7n })).not.toThrow();
  expect(() => assertRange(FULL)).not.toThrow();
});

test("a range that starts above its last address is refused", () => {
  expect(() => assertRange({ start: 0x10n, last: 0xfn })).toThrow(
    new RangeError("[0x10, 0xf] starts above its last address"),
  );
});

test("a range that leaves 64 bits at either end is refused", () => {
  expect(() => assertRange({ start: 0n, last: 2n ** 64n })).toThrow(RangeError);
  expect(() => assertRange({ start: -1n, last: 0n })).toThrow(RangeError);
});
