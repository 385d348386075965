import { describe, expect, it } from "vitest";
import { z } from "zod";
import { LIMITS } from "../../src/limits.ts";
import { address, context, ioasId, rangeList } from "../../src/rpc/inputs.ts";
import { parseParams } from "../../src/rpc/params.ts";
import { TimeSlices } from "../../src/rpc/time-slices.ts";

const PARAMS = z.strictObject({
  context: context(),
  ioas: ioasId(),
  ranges: rangeList(),
  direction: z.enum(["up", "down"]).optional(),
});
const GOOD = { ioas: 1, ranges: [] };

const slice = new TimeSlices().slice(0);
const parse = async (params: unknown) => parseParams(PARAMS, params, slice);

async function refusal(params: unknown): Promise<{ code: number; message: string }> {
  try {
    await parse(params);
  } catch (error) {
    // Whatever was wrong, the next good params are taken.
    expect(await parse(GOOD)).toEqual({ ...GOOD, context: "default" });
    return error as { code: number; message: string };
  }
  throw new Error("the params were taken");
}

describe("parseParams", () => {
  it("decodes addresses and fills in defaults", async () => {
    expect(await parse({ ioas: 3, ranges: [{ start: "0x0", last: 4095 }] })).toEqual({
      context: "default",
      ioas: 3,
      ranges: [{ start: 0n, last: 4095n }],
    });
  });

  it.each([
    ["a missing member", { ranges: [] }, "ioas: this member is required"],
    [
      "a missing member deep inside",
      { ioas: 1, ranges: [{ start: 1 }] },
      "ranges[0].last: this member is required",
    ],
    ["a bad address", { ...GOOD, ranges: [{ start: "1", last: 2 }] }, "ranges[0].start: expected an address"],
    ["an inverted range", { ...GOOD, ranges: [{ start: 2, last: 1 }] }, "ranges[0]: start lies above last"],
    ["a lossy number", { ...GOOD, ranges: [{ start: 0, last: 2 ** 60 }] }, "already lost bits"],
    ["1e999", JSON.parse('{"ioas":1e999,"ranges":[]}'), "ioas: expected an integer from 1"],
    ["a bad name", { ...GOOD, context: "a b" }, "context: expected a name"],
    ["a word that is no choice", { ...GOOD, direction: "left" }, "direction: "],
    ["an unknown member", { ...GOOD, rangse: [] }, 'unknown member "rangse"'],
    [
      "an unknown member deep inside",
      { ...GOOD, ranges: [{ start: 1, last: 2, end: 3 }] },
      'ranges[0]: unknown member "end"',
    ],
    ["an array", [1], "expected an object"],
  ])("names the member at fault and what was expected: %s", async (_what, params, message) => {
    const error = await refusal(params);
    expect(error.code).toBe(-32602);
    expect(error.message).toContain(message);
  });

  it.each([
    ["a long name", { ...GOOD, ["x".repeat(100_000)]: 1 }],
    ["a long value", { ...GOOD, context: "x".repeat(100_000) }],
    ["a long word", { ...GOOD, direction: "x".repeat(100_000) }],
    [
      "a thousand unknown members",
      { ...GOOD, ...Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`x${i}`, 1])) },
    ],
    [
      "a thousand bad ranges",
      { ...GOOD, ranges: Array.from({ length: 1000 }, () => ({ start: "?", last: "?" })) },
    ],
  ])("never repeats the input at length: %s", async (_what, params) => {
    expect((await refusal(params)).message.length).toBeLessThan(600);
  });

  it("lists the first faults and looks at nothing behind them", async () => {
    const looks: number[] = [];
    const ranges = Array.from({ length: 10 }, (_, index) => ({
      get start() {
        looks.push(index);
        return "?";
      },
      last: 1,
    }));
    const { message } = await refusal({ ioas: 1, ranges });
    for (const index of [0, 1, 2]) expect(message).toContain(`ranges[${index}].start: expected an address`);
    expect(Math.max(...looks)).toBe(2);
  });

  it("measures a list before it walks it", async () => {
    const ranges = new Proxy(Array.from({ length: LIMITS["max-ranges"].max + 1 }), {
      get: (target, name, self) =>
        name === "length" || typeof name === "symbol"
          ? Reflect.get(target, name, self)
          : expect.unreachable(`looked at ${name}`),
    });
    expect((await refusal({ ioas: 1, ranges })).message).toContain("ranges: expected at most");
  });

  it("names the member that was most likely meant", async () => {
    expect((await refusal({ ...GOOD, rangse: [] })).message).toContain("did you mean ranges?");
  });

  it("is over at once for params without lists", () => {
    const params = parseParams(z.strictObject({ ioas: ioasId() }), { ioas: 1 }, slice);
    expect(params).toEqual({ ioas: 1 });
  });

  describe("of params that were right before", () => {
    const ASKED = z.strictObject({ context: context(), ioas: ioasId(), at: address().optional() });
    const asked = (text: string) => parseParams(ASKED, JSON.parse(text), slice);

    it.each([
      ['{"ioas":1}', { context: "default", ioas: 1 }],
      ['{"ioas":2}', { context: "default", ioas: 2 }],
      ['{"ioas":1,"context":"a"}', { context: "a", ioas: 1 }],
      ['{"context":"a","ioas":1}', { context: "a", ioas: 1 }],
      ['{"ioas":1,"at":"0x10"}', { context: "default", ioas: 1, at: 16n }],
    ])("takes others for what they are: %s", (text, expected) => {
      asked('{"ioas":1}');
      expect(asked(text)).toEqual(expected);
      expect(asked(text)).toEqual(expected);
      expect(asked('{"ioas":1}')).toEqual({ context: "default", ioas: 1 });
    });

    it.each([
      "{}",
      '{"ioas":"1"}',
      '{"ioas":1,"__proto__":null}',
      '{"ioas":1,"toString":1}',
      '{"__proto__":1}',
    ])("refuses what is not: %s", (text) => {
      asked('{"ioas":1}');
      expect(() => asked(text)).toThrow();
      expect(() => asked(text)).toThrow();
    });

    it("gives nobody what another could change", () => {
      asked('{"ioas":7}');
      expect(Object.isFrozen(asked('{"ioas":7}'))).toBe(true);
      const holds = z.strictObject({ value: z.unknown() });
      const made = parseParams(holds, { value: { inner: 1 } }, slice);
      expect(parseParams(holds, { value: { inner: 1 } }, slice)).not.toBe(made);
    });
  });
});
