import { expect, it } from "vitest";
import { backoff } from "../../src/client/backoff.ts";

const first = (count: number, random: number) => {
  const waits = backoff(() => random);
  return Array.from({ length: count }, () => waits.next().value);
};

it("waits twice as long from one try to the next, and no longer than five seconds", () => {
  expect(first(9, 1)).toEqual([50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
});

it("spreads clients over the second half of each wait", () => {
  expect(first(2, 0)).toEqual([25, 50]);
  expect(first(2, 0.5)).toEqual([37.5, 75]);
});
