import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { finish } from "../../src/ranges/steps.ts";
import { canonicalJson, digestOf } from "../../src/rpc/canonical-json.ts";

type Json = Parameters<typeof canonicalJson>[0];

const value = fc.jsonValue() as fc.Arbitrary<Json>;
const textOf = (json: Json) => [...canonicalJson(json)].join("");

/** The same value with its members in the opposite order. */
function reversed(json: Json): Json {
  if (json === null || typeof json !== "object") return json;
  if (Array.isArray(json)) return json.map(reversed);
  return Object.fromEntries(
    Object.entries(json)
      .reverse()
      .map(([name, member]) => [name, reversed(member as Json)]),
  );
}

describe("canonical JSON", () => {
  it("is sorted by the names of members, and has no blanks", () => {
    const json = { b: [1, { d: null, c: "x y" }], a: {}, "": [], gone: undefined };
    expect(textOf(json)).toBe('{"":[],"a":{},"b":[1,{"c":"x y","d":null}]}');
  });

  it("says the same as the value", () => {
    fc.assert(
      fc.property(value, (json) => {
        expect(JSON.parse(textOf(json))).toEqual(JSON.parse(JSON.stringify(json)));
      }),
    );
  });

  it("does not depend on the order of members", () => {
    fc.assert(
      fc.property(value, (json) => {
        expect(textOf(reversed(json))).toBe(textOf(json));
      }),
    );
  });

  it("has a digest, also when it is long, and others may go first then", () => {
    const json = Array.from({ length: 20_000 }, (_, n) => `${n}`);
    expect(finish(digestOf(json))).toBe(createHash("sha256").update(JSON.stringify(json)).digest("hex"));
    expect(digestOf(json).next().done).toBe(false);
  });
});
