import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { finish } from "../../src/ranges/steps.ts";
import { parseInSteps } from "../../src/rpc/json-in-steps.ts";
import { TooDeep } from "../../src/rpc/nesting.ts";
import { runs } from "../runs.ts";
import { startServer } from "./stub.ts";

/** What comes of a text: a value in the one form that shows the order of members and whose own they are, or nothing. */
function outcome(parse: (text: string) => unknown, text: string): string | undefined {
  let value: unknown;
  try {
    value = parse(text);
  } catch (error) {
    expect(error).toBeInstanceOf(SyntaxError);
    return undefined;
  }
  return JSON.stringify(value);
}

/** Parts of two or three characters, so that every comma is a place to cut at. */
const inSteps = (part: number) => (text: string) => finish(parseInSteps(text, 100, part));

const names = fc.constantFrom("a", "b", "__proto__", "toString", "7", "", '"', "\\", "[", "},{");
const value = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 6 },
    fc.constantFrom(1, -0.5, "", '"', "\\", "],[", "a,b", true, null),
    fc.array(tie("value"), { maxLength: 6 }),
    fc.array(fc.tuple(names, tie("value")), { maxLength: 6 }).map(Object.fromEntries),
  ),
})).value;
const text = fc
  .tuple(value, fc.constantFrom("", " ", "\n\t"), fc.boolean())
  .map(([value, blank, isLoose]) => {
    const json = JSON.stringify(value, undefined, blank);
    return isLoose ? `${blank} ${json}${blank}` : json;
  });
/** A text with a character more, less, or another. */
const mutilated = fc
  .tuple(text, fc.nat(), fc.nat({ max: 2 }), fc.constantFrom(...'[]{},:"\\ 1a\u00a0'))
  .map(([text, at, cut, character]) => {
    const place = at % (text.length + 1);
    return text.slice(0, place) + (cut === 2 ? "" : character) + text.slice(place + (cut === 0 ? 0 : 1));
  });

describe("a text that is parsed in steps", () => {
  it("may be nested so deep, and no deeper, whatever follows", () => {
    const nested = (levels: number) => `${"[".repeat(levels)}1,2${"]".repeat(levels)}`;
    expect(finish(parseInSteps(nested(8), 8, 0))).toEqual(JSON.parse(nested(8)));
    expect(() => finish(parseInSteps(nested(9), 8, 0))).toThrow(TooDeep);
    expect(() => finish(parseInSteps("[".repeat(9), 8, 0))).toThrow(TooDeep);
  });

  it("gives what JSON.parse gives, or is no JSON for both", () => {
    fc.assert(
      fc.property(fc.oneof(text, mutilated), fc.integer({ min: 0, max: 12 }), (text, part) => {
        expect(outcome(inSteps(part), text)).toBe(outcome(JSON.parse, text));
      }),
      { numRuns: runs(1000, 200_000) },
    );
  });

  it.each([
    ["a name that stands there twice", '{"a":[1,2],"b":1,"a":{"c":1,"d":2},"b":[1,2]}'],
    ["two values", "[1,2] [3,4]"],
    ["two values with a comma", "[1,2],[3,4]"],
    ["a value in the place of a comma", "[[1,2] [3,4]]"],
    ["a number before a bracket", "[1[2,3]]"],
    ["a number before a brace", '{"a":1{"b":2,"c":3}}'],
    ["brackets that do not match", '[{"a":1,"b":2],3]'],
    ["a comma at the end", "[1,2,]"],
    ["a comma at the beginning", "[,1,2]"],
    ["nothing", ""],
    ["a string that does not end", '[1,2,"3]'],
    ["an end too many", "[1,2]]"],
  ])("%s", (_what, text) => {
    for (let part = 0; part < 4; part++) expect(outcome(inSteps(part), text)).toBe(outcome(JSON.parse, text));
  });

  it("is not looked through when its beginning is no JSON", () => {
    const looks = vi.spyOn(String.prototype, "charCodeAt");
    const steps = parseInSteps("[]".repeat(1000), 100);
    expect(() => steps.next()).toThrow(SyntaxError);
    expect(looks.mock.calls.length).toBeLessThan(10);
    looks.mockRestore();
  });

  it("takes a step for every part", () => {
    const text = JSON.stringify({ lists: Array.from({ length: 1000 }, () => []) });
    const steps = parseInSteps(text, 100, 100);
    let count = 0;
    while (!steps.next().done) count++;
    expect(count).toBeGreaterThanOrEqual(28);
    expect(count).toBeLessThanOrEqual(text.length / 100);
  });
});

it("a line has the same answer whether or not it is so long that it is parsed in steps", async () => {
  const server = await startServer();
  try {
    const client = await server.connect();
    for (const length of [65_535, 65_536, 65_537]) {
      const answers: unknown[] = [];
      for (const value of ["[1,2]", "[1,]", "[".repeat(70), `"${"[".repeat(70)}"`]) {
        client.write(`{"jsonrpc":"2.0","id":7,"method":"echo","params":{"value":${value}}}`.padEnd(length));
        client.write("\n");
        const { id, result, error } = await client.next();
        answers.push([id, result ?? error.code]);
      }
      const echoed = { value: "[".repeat(70) };
      expect(answers).toEqual([
        [7, { value: [1, 2] }],
        [null, -32700],
        [7, -32011],
        [7, echoed],
      ]);
    }
  } finally {
    await server.stop();
  }
});
