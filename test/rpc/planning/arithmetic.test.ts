import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatAddress } from "../../../src/ranges/address.ts";
import type { Range } from "../../../src/ranges/range.ts";
import { Bitmap, rangeIn, rangesAround, UNIVERSES } from "../../ranges/bitmap.ts";
import { runs } from "../../runs.ts";
import { Client } from "./client.ts";

const RUNS = { numRuns: runs(40) };
const client = new Client({});

function wire(ranges: readonly Range[]) {
  return ranges.map(({ start, last }) => ({ start: formatAddress(start), last: formatAddress(last) }));
}

async function intersect(...lists: object[][]) {
  return (await client.ask("intersect-ranges", { lists })).ranges;
}

describe.each(UNIVERSES)("intersect-ranges $name", ({ base }) => {
  const list = rangesAround(base);

  it("agrees with a bitmap", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(list, { maxLength: 4 }), async (lists) => {
        const all = Bitmap.of(base, [{ start: 0n, last: 2n ** 64n - 1n }]);
        const common = lists.reduce(
          (bitmap, ranges) => bitmap.with(Bitmap.of(base, ranges), (own, other) => own && other),
          all,
        );
        expect(await intersect(...lists.map(wire))).toEqual(wire(common.ranges()));
      }),
      RUNS,
    );
  });

  it("is commutative, associative and idempotent", async () => {
    await fc.assert(
      fc.asyncProperty(list, list, list, async (first, second, third) => {
        const [a, b, c] = [wire(first), wire(second), wire(third)];
        expect(await intersect(a, b)).toEqual(await intersect(b, a));
        expect(await intersect(await intersect(a, b), c)).toEqual(await intersect(a, await intersect(b, c)));
        expect(await intersect(a, a)).toEqual(await intersect(a));
      }),
      RUNS,
    );
  });
});

describe.each(UNIVERSES)("invert-ranges $name", ({ base }) => {
  it("gives what is not in the list, within the whole address space or a part of it", async () => {
    await fc.assert(
      fc.asyncProperty(rangesAround(base), fc.option(rangeIn(base)), async (ranges, within) => {
        const params = { ranges: wire(ranges), ...(within ? { within: wire([within])[0] } : {}) };
        const { ranges: answer } = await client.ask("invert-ranges", params);
        const place = Bitmap.of(base, [within ?? { start: 0n, last: 2n ** 64n - 1n }]);
        const expected = place.with(Bitmap.of(base, ranges), (inside, taken) => inside && !taken);
        expect(answer).toEqual(wire(expected.ranges()));
      }),
      RUNS,
    );
  });
});

describe("range arithmetic", () => {
  it("takes no list at all for no restriction, and an empty list for nothing", async () => {
    expect(await intersect()).toEqual([{ start: "0x0", last: "0xffffffffffffffff" }]);
    expect(await intersect([{ start: 0, last: 9 }], [])).toEqual([]);
  });

  it("refuses more ranges than its limit, over all lists", async () => {
    const one = { start: 0, last: 1 };
    const lists = [Array(40).fill(one), Array(30).fill(one)];
    const client = new Client({}, { "max-ranges": 65 });
    expect(await client.refusal("intersect-ranges", { lists })).toMatchObject({
      code: -32011,
      message: expect.stringContaining("lists: 70 ranges in all, and 65 are the most"),
      data: { class: "LimitExceeded", limit: "max-ranges" },
    });
    expect(await client.ask("intersect-ranges", { lists: [lists[0]] })).toMatchObject({
      ranges: [{ start: "0x0", last: "0x1" }],
    });
  });
});
