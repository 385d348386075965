import { isUtf8 } from "node:buffer";
import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Line, LineReader, NOT_UTF8 } from "../../src/rpc/framing.ts";
import { runs } from "../runs.ts";
import { collectGarbage } from "./garbage.ts";

function read(chunks: readonly Uint8Array[], limit = 1024): Line[] {
  const reader = new LineReader(() => limit);
  return [...chunks.flatMap((chunk) => reader.push(Buffer.from(chunk))), ...reader.finish()];
}

const readText = (text: string, limit?: number) => read([Buffer.from(text)], limit);

/** The rules said plainly, for the whole stream at once. */
function model(stream: Buffer, limit: number): Line[] {
  const lines: Line[] = [];
  let bytes: number[] = [];
  const complete = () => {
    const line = Buffer.from(bytes);
    bytes = [];
    const length = line.at(-1) === 0x0d ? line.length - 1 : line.length;
    if (length > limit) return lines.push({ head: line.subarray(0, limit).toString() });
    if (!isUtf8(line)) return lines.push(NOT_UTF8);
    const text = line.toString().replace(/\r$/, "");
    if (!/^[ \t\r]*$/.test(text)) lines.push(text);
  };
  for (const byte of stream) {
    if (byte === 0x0a) complete();
    else bytes.push(byte);
  }
  complete();
  return lines;
}

function cut(stream: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [...new Set(places.map((place) => place % (stream.length + 1)))].sort((a, b) => a - b);
  return [0, ...cuts].map((from, i) => stream.subarray(from, cuts[i] ?? stream.length));
}

describe("LineReader", () => {
  it("cuts at LF and takes CRLF for the same", () => {
    expect(readText("one\ntwo\r\nthree\n")).toEqual(["one", "two", "three"]);
  });

  it("leaves out blank lines", () => {
    expect(readText("\n\r\n  \t\none\n\n")).toEqual(["one"]);
  });

  it("delivers a last line without its terminator at the end of the stream", () => {
    expect(readText("one\ntwo")).toEqual(["one", "two"]);
  });

  it("keeps a carriage return inside a line", () => {
    expect(readText("a\rb\n")).toEqual(["a\rb"]);
  });

  it("takes a line of exactly the limit and refuses one byte more", () => {
    expect(readText("12345678\n123456789\nok\n", 8)).toEqual(["12345678", { head: "12345678" }, "ok"]);
  });

  it("does not count the CR of a line's end", () => {
    const lines = ["12345678", { head: "12345678" }, { head: "12345678" }, "ok"];
    expect(readText("12345678\r\n123456789\r\n12345678\r\r\nok\r\n", 8)).toEqual(lines);
  });

  it("counts bytes and not characters", () => {
    expect(readText("äöü\näöü!\nok\n", 6)).toEqual(["äöü", { head: "äöü" }, "ok"]);
  });

  it("reports an over-long line before its end has come, once", () => {
    const reader = new LineReader(() => 8);
    expect(reader.push(Buffer.from("123456789"))).toEqual([{ head: "12345678" }]);
    for (let i = 0; i < 100; i++) expect(reader.push(Buffer.alloc(1024, "x"))).toEqual([]);
    expect(reader.push(Buffer.from("tail\nok\n"))).toEqual(["ok"]);
    expect(reader.finish()).toEqual([]);
  });

  it("reports a line that is not UTF-8 and goes on at the next", () => {
    const bad = Buffer.from([0x22, 0xc3, 0x28, 0x22, 0x0a]);
    expect(read([Buffer.from("one\n"), bad, Buffer.from("two\n")])).toEqual(["one", NOT_UTF8, "two"]);
  });

  it("joins a character that two chunks share", () => {
    const bytes = Buffer.from("€\n");
    expect(read([bytes.subarray(0, 1), bytes.subarray(1)])).toEqual(["€"]);
  });

  it("does not take a surrogate encoded in UTF-8 or an overlong form for text", () => {
    expect(read([Buffer.from([0xed, 0xa0, 0x80, 0x0a, 0xc0, 0xaf, 0x0a])])).toEqual([NOT_UTF8, NOT_UTF8]);
  });

  it("gives what the rules give, for any bytes and any cutting", () => {
    const byte = fc.oneof(
      fc.constantFrom(0x0a, 0x0d, 0x0d, 0x20, 0x7b, 0x41),
      fc.constantFrom(0xc3, 0xa4, 0xe2, 0x82, 0xac),
      fc.integer({ min: 0, max: 255 }),
    );
    fc.assert(
      fc.property(
        fc.array(byte, { maxLength: 120 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (bytes, places) => {
          const stream = Buffer.from(bytes);
          expect(read(cut(stream, places), 12)).toEqual(model(stream, 12));
        },
      ),
      { numRuns: runs(670, 4_020) },
    );
  });

  it("stores nothing of what it skips", async () => {
    const reader = new LineReader(() => 4096);
    reader.push(Buffer.alloc(5000, "x"));
    const skipped = Array.from({ length: 20 }, () => {
      const chunk = Buffer.alloc(5000, "x");
      reader.push(chunk);
      return new WeakRef(chunk);
    });
    await nextTurn();
    collectGarbage();
    expect(skipped.filter((chunk) => chunk.deref() !== undefined)).toEqual([]);
    expect(reader.push(Buffer.from("\nok\n"))).toEqual(["ok"]);
  });
});
