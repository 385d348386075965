import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nestsWithin } from "../../src/rpc/nesting.ts";
import { runs } from "../runs.ts";

function depth(value: unknown): number {
  if (typeof value !== "object" || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depth));
}

describe("nestsWithin", () => {
  it("takes exactly the limit and refuses one level more", () => {
    expect(nestsWithin("[".repeat(64) + "]".repeat(64), 64)).toBe(true);
    expect(nestsWithin("[".repeat(65) + "]".repeat(65), 64)).toBe(false);
  });

  it("refuses a hundred thousand levels, closed or not", () => {
    expect(nestsWithin("[".repeat(100_000), 64)).toBe(false);
    expect(nestsWithin('{"a":'.repeat(100_000), 64)).toBe(false);
  });

  it("does not count brackets inside strings, whatever is escaped there", () => {
    expect(nestsWithin(`["${"[".repeat(1000)}"]`, 2)).toBe(true);
    expect(nestsWithin(`["\\"${"[".repeat(1000)}"]`, 2)).toBe(true);
    expect(nestsWithin(`["\\\\",${"[".repeat(1000)}`, 2)).toBe(false);
  });

  it("counts levels and not brackets", () => {
    expect(nestsWithin(`[${"[],".repeat(1000)}[]]`, 2)).toBe(true);
  });

  it("agrees with a walk over the parsed value", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.integer({ min: 0, max: 8 }), (value, limit) => {
        expect(nestsWithin(JSON.stringify(value), limit)).toBe(depth(value) <= limit);
      }),
      { numRuns: runs(1000) },
    );
  });
});
