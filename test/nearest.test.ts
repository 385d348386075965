import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nearest, suggestion } from "../src/nearest.ts";

/** Levenshtein's distance by its definition. */
function distance(a: string, b: string): number {
  if (a === "" || b === "") return a.length + b.length;
  const [restA, restB] = [a.slice(1), b.slice(1)];
  if (a[0] === b[0]) return distance(restA, restB);
  return 1 + Math.min(distance(restA, b), distance(a, restB), distance(restA, restB));
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
