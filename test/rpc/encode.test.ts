import fc from "fast-check";
import { expect, it } from "vitest";
import { ResultTexts } from "../../src/rpc/encode.ts";
import { JsonElements } from "../../src/rpc/json-elements.ts";
import { ENOUGH } from "../../src/rpc/off-heap.ts";
import { whole } from "../../src/rpc/text.ts";
import { TimeSlices } from "../../src/rpc/time-slices.ts";
import { runs } from "../runs.ts";
import { anyText } from "../text.ts";

const slice = () => new TimeSlices().slice(0);
const encode = (value: unknown, of = slice()) => new ResultTexts().of(value, of);

/** The same element in three parts, of which the last is known later. */
function addInParts(elements: JsonElements, text: string): void {
  elements.begin(text.slice(0, 1));
  elements.append(text.slice(1, -1));
  elements.replace(elements.appendApart("null"), text.length > 1 ? text.slice(-1) : "");
}

it("puts small results into words at once, as JSON.stringify does", () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 3 }), (value) => {
      expect(encode(value)).toBe(JSON.stringify(value));
    }),
  );
});

it("puts large results into the same words piece by piece", async () => {
  const member = fc.oneof(fc.jsonValue(), fc.constant(undefined), fc.double(), anyText);
  const record = fc.dictionary(fc.string(), member);
  await fc.assert(
    fc.asyncProperty(fc.array(record, { minLength: 1, maxLength: 5 }), record, async (records, around) => {
      const many = Array.from({ length: 1000 }, (_, index) => records[index % records.length]);
      for (const large of [
        many,
        { ...around, many, last: 1 },
        [many, [many, undefined]],
        { a: { b: many } },
      ]) {
        expect(whole(await encode(large))).toBe(JSON.stringify(large));
      }
    }),
    { numRuns: runs(3, 100) },
  );
});

it("takes elements that are in words already, wherever they stand", async () => {
  const elements = fc.array(fc.jsonValue({ maxDepth: 1 }), { maxLength: 600 });
  await fc.assert(
    fc.asyncProperty(elements, fc.jsonValue(), async (values, beside) => {
      const worded = () => {
        const elements = new JsonElements();
        for (const [i, value] of values.entries()) {
          const text = JSON.stringify(value);
          if (i % 50 === 7) addInParts(elements, text);
          else elements.add(text);
        }
        return elements;
      };
      for (const around of [
        (list: unknown) => list,
        (list: unknown) => ({ list, beside }),
        (list: unknown) => [beside, { list }],
      ])
        expect(whole(await encode(around(worded())))).toBe(JSON.stringify(around(values)));
    }),
    { numRuns: runs(10, 300) },
  );
});

it.each([
  ["in ASCII", "a"],
  ["in Latin-1", "é"],
  ["in anything", "\u{10ffff}"],
])("takes more elements than V8 is left to keep, %s", async (_name, character) => {
  const elements = new JsonElements();
  const values: string[] = [];
  for (let i = 0; i < 3000; i++) {
    values.push(`${i} ${character.repeat(1 + (i % 1000))}`);
    if (i % 1100 === 10) addInParts(elements, JSON.stringify(values[i]));
    else elements.add(JSON.stringify(values[i]));
  }
  expect(JSON.stringify(values).length).toBeGreaterThan(ENOUGH);
  expect(whole(await encode(elements))).toBe(JSON.stringify(values));
});

it("lets others go first while it is at a large result", async () => {
  let now = 0;
  const slices = new TimeSlices(() => ++now);
  const done: string[] = [];
  const large = Array.from({ length: 20_000 }, (_, index) => ({ index }));
  const text = encode(large, slices.slice(1));
  expect(text).toBeInstanceOf(Promise);
  const other = slices.slice(2);
  await Promise.all([
    Promise.resolve(text).then(() => done.push("large")),
    other.pass().then(() => done.push("other")),
  ]);
  expect(done).toEqual(["other", "large"]);
});

it.each([
  ["small", { value: 1n }],
  ["large", [Array(3000).fill(0), { value: 1n }]],
])("fails for a %s result that is no JSON", async (_size, result) => {
  await expect((async () => encode(result))()).rejects.toThrow(TypeError);
});

it("keeps the text of what is frozen, small or large, and of nothing else", async () => {
  const texts = new ResultTexts();
  const frozen = Object.freeze({ a: ["é"] });
  expect(texts.of(frozen, slice())).toBe('{"a":["é"]}');
  frozen.a.push("a change that nobody sees");
  expect(texts.of(frozen, slice())).toBe('{"a":["é"]}');
  const large = Object.freeze(Array.from({ length: 3000 }, (_, index) => index));
  const text = await texts.of(large, slice());
  expect(texts.of(large, slice())).toBe(text);
  const another = { a: 1 };
  expect(texts.of(another, slice())).toBe('{"a":1}');
  another.a = 2;
  expect(texts.of(another, slice())).toBe('{"a":2}');
});
