import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { LineReader, type TooLong } from "../../src/rpc/framing.ts";
import { topLevelId } from "../../src/rpc/top-level-id.ts";

const id = fc.oneof(fc.integer(), fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }));
/** Values that are full of what looks like an id. */
const decoy = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>({ id: 1 }, [{ id: 2 }], 'id":3', '"id": 4,', "\\", '\\"', "{", "]"),
);
const members = fc.array(fc.tuple(fc.constantFrom("method", "params", 'i"d', "ID", "jsonrpc"), decoy), {
  maxLength: 4,
});

describe("topLevelId", () => {
  it("finds in a message what JSON.parse finds in it, whatever stands before and behind", () => {
    fc.assert(
      fc.property(members, id, members, fc.boolean(), (before, id, after, isSpaced) => {
        const message = Object.fromEntries([...before, ["id", id], ...after]);
        const text = JSON.stringify(message, null, isSpaced ? 2 : 0);
        const whole = (JSON.parse(text) as { id: unknown }).id;
        const isEchoed = typeof whole === "string" || !Number.isInteger(whole) || Number.isSafeInteger(whole);
        expect(topLevelId(text)).toBe(isEchoed ? whole : null);
      }),
    );
  });

  it("finds none where a message has none, however many there are inside", () => {
    fc.assert(
      fc.property(members, (members) => {
        expect(topLevelId(JSON.stringify(Object.fromEntries(members)))).toBeNull();
        expect(topLevelId(JSON.stringify([{ id: 1 }, Object.fromEntries(members)]))).toBeNull();
      }),
    );
  });

  it("of a beginning finds the whole id or none", () => {
    fc.assert(
      fc.property(members, id, members, fc.nat(), (before, id, after, cut) => {
        const text = JSON.stringify(Object.fromEntries([...before, ["id", id], ...after]));
        const found = topLevelId(text.slice(0, cut % (text.length + 1)));
        if (found !== null) expect(found).toBe((JSON.parse(text) as { id: unknown }).id);
      }),
    );
  });

  it.each([
    ["12", 12],
    ['"a"', "a"],
  ])(
    "finds the id %s of a line that is too long when it ends within 4 KiB, and not when behind",
    (id, value) => {
      const headOf = (end: number) => {
        const [before, after] = ['{"x":"', `","id":${id}`];
        const filled = before + "x".repeat(end - before.length - after.length) + after;
        const [line] = new LineReader(() => 8192).push(Buffer.from(`${filled},"y":"${"y".repeat(8192)}`));
        return (line as TooLong).head;
      };
      expect([4095, 4096, 4097, 4098].map((end) => topLevelId(headOf(end)))).toEqual([
        value,
        value,
        null,
        null,
      ]);
    },
  );

  it.each([
    "",
    "[",
    '{"id"',
    '{"id":',
    '{"id":12',
    '{"id":"a"',
    '{"id":tru',
    '{"id":null,',
    '{"id":{"id":1}}',
    '"id":1',
    "{:1}",
  ])("finds none in %s", (head) => {
    expect(topLevelId(head)).toBeNull();
  });
});
