import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonReader } from "../../src/rpc/dialects/json-reader.ts";
import { type Line, NOT_UTF8 } from "../../src/rpc/framing.ts";
import { runs } from "../runs.ts";

function read(chunks: readonly Uint8Array[], limit = 1024): Line[] {
  const reader = new JsonReader(() => limit);
  return [...chunks.flatMap((chunk) => reader.push(Buffer.from(chunk))), ...reader.finish()];
}

const readText = (text: string, limit?: number) => read([Buffer.from(text)], limit);

describe("JsonReader", () => {
  it("ends a message where its outermost bracket closes, with or without a line's end", () => {
    expect(readText('{"a":{}}{"b":[1]}\n[2]\r\n\n {"c":3}')).toEqual([
      '{"a":{}}',
      '{"b":[1]}',
      "[2]",
      '{"c":3}',
    ]);
  });

  it("takes a message over several lines", () => {
    expect(readText('{\n  "a": 1\n}\n')).toEqual(['{\n  "a": 1\n}']);
  });

  it("is not misled by brackets and quotes inside strings", () => {
    const message = String.raw`{"a":"}\"}{\\","b":"["}`;
    expect(readText(message + message)).toEqual([message, message]);
  });

  it("takes what begins with no bracket for one line, and goes on at the next", () => {
    expect(readText('hello {"a":1}\n{"b":2}')).toEqual(['hello {"a":1}\n', '{"b":2}']);
  });

  it("delivers at the end of the stream what has no end", () => {
    expect(readText('{"a":')).toEqual(['{"a":']);
  });

  it("reports a message that is not UTF-8 and goes on behind it", () => {
    const bad = Buffer.from([0x7b, 0x22, 0xc3, 0x28, 0x22, 0x7d]);
    expect(read([bad, Buffer.from("{}")])).toEqual([NOT_UTF8, "{}"]);
  });

  it("reports a message that is too long once, with its beginning, and goes on behind it", () => {
    const long = `{"a":"${"x".repeat(100)}"}`;
    expect(readText(`${long}{"b":2}`, 16)).toEqual([{ head: long.slice(0, 16) }, '{"b":2}']);
  });

  it("keeps of a message no more than twice what has come, and nothing of what it drops", () => {
    const reader = new JsonReader(() => 1024);
    reader.push(Buffer.from(`{"a":"${"x".repeat(90)}`));
    expect(reader.isInside).toBe(true);
    expect(reader.held).toBeGreaterThanOrEqual(96);
    expect(reader.held).toBeLessThanOrEqual(192);
    reader.drop();
    expect(reader.held).toBe(0);
  });

  it("gives the values that were written, however they were set apart and the stream was cut", () => {
    const value = fc.oneof(fc.dictionary(fc.string(), fc.json()), fc.array(fc.jsonValue()));
    const space = fc.constantFrom("", " ", "\n", "\r\n", "\n\n\t");
    fc.assert(
      fc.property(fc.array(fc.tuple(value, space)), fc.array(fc.nat()), (written, places) => {
        const texts = written.map(([each]) => JSON.stringify(each));
        const stream = Buffer.from(texts.map((text, i) => text + written[i]?.[1]).join(""));
        const cuts = [...new Set(places.map((place) => place % (stream.length + 1)))].sort((a, b) => a - b);
        const chunks = [0, ...cuts].map((from, i) => stream.subarray(from, cuts[i] ?? stream.length));
        expect(read(chunks, 2 ** 20)).toEqual(texts);
      }),
      { numRuns: runs(300) },
    );
  });
});
