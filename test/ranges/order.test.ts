import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ascending } from "../../src/ranges/order.ts";
import { finish } from "../../src/ranges/steps.ts";

describe("the order of keys", () => {
  const keys = fc.array(
    fc.oneof(
      fc.bigInt(0n, 3n),
      fc.bigInt(0n, 2n ** 64n - 1n),
      fc.bigInt(0n, 255n).map((byte) => byte << 56n),
    ),
  );

  it("is that of a sort by comparison, equal keys in their own order", () => {
    fc.assert(
      fc.property(keys, (given) => {
        const expected = [...given.keys()].sort((a, b) => {
          const [x, y] = [given[a] as bigint, given[b] as bigint];
          return x < y ? -1 : Number(x > y);
        });
        expect([...finish(ascending(BigUint64Array.from(given)))]).toEqual(expected);
      }),
    );
  });

  it("leaves the keys as they are, also those of a part of a larger array", () => {
    const all = BigUint64Array.of(9n, 3n, 1n, 2n, 0n);
    expect([...finish(ascending(all.subarray(1, 4)))]).toEqual([1, 2, 0]);
    expect([...all]).toEqual([9n, 3n, 1n, 2n, 0n]);
  });
});
