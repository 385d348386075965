import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nearest, suggestion } from "../src/nearest.ts";

/** The distance of optimal string alignment by its definition. */
function distance(a: string, b: string): number {
  if (a === "" || b === "") return a.length + b.length;
  const [restA, restB] = [a.slice(1), b.slice(1)];
  const isSwapped = a.length > 1 && b.length > 1 && a[0] === b[1] && a[1] === b[0];
  return Math.min(
    distance(restA, restB) + (a[0] === b[0] ? 0 : 1),
    distance(restA, b) + 1,
    distance(a, restB) + 1,
    isSwapped ? distance(a.slice(2), b.slice(2)) + 1 : Number.POSITIVE_INFINITY,
  );
}

const word = fc.string({ unit: fc.constantFrom("a", "b", "-"), maxLength: 6 });

describe("nearest", () => {
  it("is the first of those with the fewest mistakes, and at most a third of the word", () => {
    fc.assert(
      fc.property(word, fc.array(word, { maxLength: 5 }), (given, candidates) => {
        const distances = candidates.map((candidate) => distance(given, candidate));
        const least = Math.min(...distances);
        const isNear = least <= Math.floor(Math.max(given.length, 3) / 3);
        expect(nearest(given, candidates)).toBe(isNear ? candidates[distances.indexOf(least)] : undefined);
      }),
    );
  });

  it.each([
    ["szie", "size"],
    ["lsat", "last"],
    ["hsots", "hosts"],
  ])("takes letters that have changed places for one mistake: %s", (word, meant) => {
    expect(nearest(word, ["start", "avoid", meant])).toBe(meant);
  });

  it("does not mind upper case", () => {
    expect(nearest("Query-Device", ["subscribe", "query-devices"])).toBe("query-devices");
  });

  it("is nothing for words longer than any name", () => {
    expect(nearest("x".repeat(65), ["x".repeat(65)])).toBeUndefined();
  });
});

it("a suggestion is a sentence, or nothing", () => {
  expect(suggestion("subscibe", ["subscribe"])).toBe("; did you mean subscribe?");
  expect(suggestion("unlike", ["subscribe"])).toBe("");
});
