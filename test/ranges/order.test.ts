import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ascending, ascendingTexts } from "../../src/ranges/order.ts";
import { finish, STEP } from "../../src/ranges/steps.ts";
import { runs } from "../runs.ts";

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

describe("the order of texts", () => {
  const text = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom("0000:00:1f.0", "0000:00:1f.00", ""),
  );

  it("is that of sort(), however many steps they take", () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 20 }), fc.integer({ min: 0, max: 4 * STEP }), (few, count) => {
        const given = Array.from(
          { length: count },
          (_, i) => `${few[i % few.length]}${(i * 7919) % (count + 1)}`,
        );
        expect(finish(ascendingTexts([...few, ...given]))).toEqual([...few, ...given].sort());
      }),
      { numRuns: runs(10, 200) },
    );
  });

  it("of one step and a bit is not made at once", () => {
    const steps = ascendingTexts(Array.from({ length: STEP + 1 }, (_, i) => `${-i}`));
    let count = 0;
    while (!steps.next().done) count++;
    expect(count).toBeGreaterThan(2);
  });
});
