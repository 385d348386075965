import { describe, expect, it } from "vitest";
import type { Range } from "../../src/ranges/range.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { finish, mapInSteps, STEP, type Steps } from "../../src/ranges/steps.ts";

function countSteps(steps: Steps<unknown>): number {
  let count = 0;
  while (!steps.next().done) count++;
  return count;
}

function manyRanges(count: number): Range[] {
  return Array.from({ length: count }, (_, i) => ({ start: BigInt(i) * 16n, last: BigInt(i) * 16n + 7n }));
}

describe("a computation in steps", () => {
  it("is finished by who need not share", () => {
    expect(finish(mapInSteps([1, 2, 3], (n) => n * 2))).toEqual([2, 4, 6]);
  });

  it("passes an error on", () => {
    const fail = () => {
      throw new RangeError("no");
    };
    expect(() => finish(mapInSteps([1], fail))).toThrow("no");
  });

  it("can be interrupted the more often the more there is to do", () => {
    const items = (count: number) => Array.from({ length: count }, (_, i) => i);
    expect(countSteps(mapInSteps(items(10 * STEP), String))).toBe(10);
    const few = countSteps(RangeSet.fromInSteps(manyRanges(STEP)));
    const many = countSteps(RangeSet.fromInSteps(manyRanges(50 * STEP)));
    expect(many - few).toBeGreaterThanOrEqual(90);
  });
});
