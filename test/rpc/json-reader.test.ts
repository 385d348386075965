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

  it("takes what begins with no bracket for junk that ends with its line, or where a message begins", () => {
    expect(readText('hello\n{"a":1}')).toEqual(["hello\n", '{"a":1}']);
    expect(readText('hello {"a":1}\n[2]')).toEqual(["hello ", '{"a":1}', "[2]"]);
    expect(readText('"{" 5, [2]')).toEqual(['"{" 5, ', "[2]"]);
  });

  it("ends a message or junk at a bracket that closes none, and goes on behind it", () => {
    expect(readText('}{"b":2}')).toEqual(["}", '{"b":2}']);
    expect(readText('5]{"b":2}')).toEqual(["5]", '{"b":2}']);
    expect(readText('{"a":]}{"b":2}')).toEqual(['{"a":]', "}", '{"b":2}']);
  });

  it.each([
    ["a control character", '{"a":\x01', "\n"],
    ["a control character in a string", '{"a":"b\0', ""],
    ["a control character between messages", "\x0b", ""],
    ["a line's end in a string", '{"a":"b\n', ""],
    ["a tab in a string", '{"a":"b\t', 'c","d'],
    ["a carriage return in a single-quoted string", '["b\r', "\n"],
    ["a line's end in a string of junk", 'hello "\n', ""],
    ["a control character behind a backslash", '{"a":"\\\x1f', "]}"],
  ])("ends what is under way at %s, as no JSON, and goes on at the next message", (_what, broken, rest) => {
    const [line, ...others] = readText(`${broken}${rest}{"b":2}`);
    expect(line).toBe(broken);
    expect(() => JSON.parse(broken)).toThrow();
    expect(others).toEqual(['{"b":2}']);
  });

  it("ends what is under way at a byte that is never text, and goes on behind it", () => {
    for (const byte of [0xfe, 0xff]) {
      for (const before of ["", '{"a":', '{"a":"b', "hello "]) {
        expect(read([Buffer.from(before), Buffer.of(byte), Buffer.from('{"b":2}')])).toEqual([
          NOT_UTF8,
          '{"b":2}',
        ]);
      }
    }
  });

  it("says no more of a message that is too long when it is broken", () => {
    expect(readText(`{"a":"${"x".repeat(100)}\n{"b":2}`, 16)).toEqual([
      { head: '{"a":"xxxxxxxxxx' },
      '{"b":2}',
    ]);
  });

  it.each([
    ["strings", "{'a':'b'}", { a: "b" }],
    ["brackets in them", "['}','{']", ["}", "{"]],
    ["quotation marks in them", `['"{"','\\"']`, ['"{"', '"']],
    ["their own mark in them, escaped", String.raw`['it\'s']`, ["it's"]],
    ["an escaped apostrophe where none is needed", String.raw`["it\'s it's"]`, ["it's it's"]],
    ["a backslash at their end", String.raw`['\\',"'\\\'"]`, ["\\", "'\\'"]],
  ])("takes single quotes as QEMU does: %s", (_what, text, value) => {
    const lines = readText(`${text}{"b":2}`);
    expect(lines).toHaveLength(2);
    expect(JSON.parse(lines[0] as string)).toEqual(value);
    const bytes = [...Buffer.from(text)].map((byte) => Buffer.of(byte));
    expect(read(bytes)).toEqual([lines[0]]);
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

  it("gives the values that were written, however they were quoted and set apart and the stream was cut", () => {
    const value = fc.oneof(fc.dictionary(fc.string(), fc.json()), fc.array(fc.jsonValue()));
    const space = fc.constantFrom("", " ", "\n", "\r\n", "\n\n\t");
    fc.assert(
      fc.property(fc.array(fc.tuple(value, space, fc.boolean())), fc.array(fc.nat()), (written, places) => {
        const texts = written.map(([each, , isSingle]) => {
          const text = JSON.stringify(each);
          return isSingle ? inSingleQuotes(text) : text;
        });
        const stream = Buffer.from(texts.map((text, i) => text + written[i]?.[1]).join(""));
        const cuts = [...new Set(places.map((place) => place % (stream.length + 1)))].sort((a, b) => a - b);
        const chunks = [0, ...cuts].map((from, i) => stream.subarray(from, cuts[i] ?? stream.length));
        const values = read(chunks, 2 ** 20).map((line) => JSON.parse(line as string));
        expect(values).toEqual(written.map(([each]) => JSON.parse(JSON.stringify(each))));
      }),
      { numRuns: runs(100, 3_000) },
    );
  });

  it("gives the same of any bytes, however they were cut, and always finds the command behind a reset", () => {
    const byte = fc.oneof(
      fc.constantFrom(...Buffer.from("{}[]\"'\\:,a1 \t\r\n")),
      fc.constantFrom(0x01, 0xc3, 0xfe, 0xff),
    );
    fc.assert(
      fc.property(fc.array(byte, { maxLength: 60 }), fc.integer({ min: 2, max: 60 }), (noise, limit) => {
        const command = "{}";
        const stream = Buffer.concat([Buffer.from(noise), Buffer.of(0xff), Buffer.from(command)]);
        const whole = read([stream], limit);
        expect(whole.at(-1)).toBe(command);
        expect(
          read(
            [...stream].map((each) => Buffer.of(each)),
            limit,
          ),
        ).toEqual(whole);
      }),
      { numRuns: runs(100, 3_000) },
    );
  });
});

/** JSON's text with its strings as they may be written for QEMU. */
function inSingleQuotes(text: string): string {
  return text.replace(/"((?:[^"\\]|\\.)*)"/g, (_, inner: string) => {
    return `'${inner.replace(/\\"/g, '"').replace(/'/g, "\\'")}'`;
  });
}
