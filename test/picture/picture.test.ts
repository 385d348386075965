import fc from "fast-check";
import { expect, it } from "vitest";
import { laneOfAllowed, laneOfWindows, notesOf } from "../../src/picture/answers.ts";
import { causesText } from "../../src/picture/causes.ts";
import { type Lane, mergeAlike, type Part, rowsOf } from "../../src/picture/picture.ts";
import { drawSvg, escapeXml } from "../../src/picture/svg.ts";
import { drawText } from "../../src/picture/text.ts";
import { formatAddress, U64_MAX } from "../../src/ranges/address.ts";
import { runs } from "../runs.ts";

const plain = { width: 80, paint: (_kind: unknown, text: string) => text };

/** Parts that ascend and are disjoint, with gaps or without, up to the top or not. */
const parts = fc.uniqueArray(fc.bigInt(0n, 40n), { minLength: 2, maxLength: 10 }).map((cuts) => {
  const sorted = cuts.sort((a, b) => (a < b ? -1 : 1));
  return sorted.slice(1).flatMap((cut, at): Part[] =>
    at % 3 === 2
      ? []
      : [
          {
            start: sorted[at] as bigint,
            last: at === 8 ? U64_MAX : cut - 1n,
            kind: "usable",
            label: `p${at}`,
          },
        ],
  );
});
const lanes = fc.array(
  parts.map((parts): Lane => ({ title: "lane", parts })),
  { minLength: 1, maxLength: 4 },
);
const notes = fc.array(
  fc
    .tuple(fc.bigInt(0n, 40n), fc.bigInt(0n, 40n))
    .map(([a, b]) => ({ start: a < b ? a : b, last: a < b ? b : a, text: "note" })),
  { maxLength: 3 },
);

const covers =
  (address: bigint) =>
  ({ start, last }: { start: bigint; last: bigint }) =>
    start <= address && address <= last;

it("rows cover the address space once, and show at every address what each lane has there", () => {
  fc.assert(
    fc.property(lanes, notes, (lanes, notes) => {
      const rows = rowsOf({ lanes, notes });
      expect(rows[0]?.start).toBe(0n);
      expect(rows.at(-1)?.last).toBe(U64_MAX);
      for (const [at, row] of rows.entries())
        if (at > 0) expect(row.start).toBe((rows[at - 1]?.last as bigint) + 1n);
      const addresses = Array.from({ length: 43 }, (_, address) => BigInt(address));
      const shown = addresses.map((address) => {
        const row = rows.find(covers(address));
        return { parts: row?.cells.map((cell) => cell?.part), notes: row?.notes.length };
      });
      const there = addresses.map((address) => ({
        parts: lanes.map(({ parts }) => parts.find(covers(address))),
        notes: notes.filter(covers(address)).length,
      }));
      expect(shown).toEqual(there);
    }),
    { numRuns: runs(50, 1_000) },
  );
});

it("keeps to the width of the page, with every lane on it", () => {
  const many = fc
    .array(parts, { minLength: 1, maxLength: 15 })
    .map((all) => all.map((parts, at): Lane => ({ title: `lane ${at}`, parts })));
  fc.assert(
    fc.property(many, notes, fc.integer({ min: 60, max: 200 }), (lanes, notes, width) => {
      const lines = drawText({ lanes, notes }, { ...plain, width });
      expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width);
      expect(lines.filter((line) => line !== line.trimEnd())).toEqual([]);
      const titles = lines.join("\n").match(/lane \d+/g) ?? [];
      expect(titles).toEqual(lanes.length === 1 ? [] : lanes.map(({ title }) => title));
    }),
    { numRuns: runs(50) },
  );
});

const ANSWER = {
  ranges: [
    { start: "0x0", last: "0xfedfffff" },
    { start: "0xfef00000", last: "0x7fffffffff" },
  ],
  excluded: [
    {
      start: "0xfee00000",
      last: "0xfeefffff",
      causes: [{ kind: "region", type: "msi", device: "0000:01:00.0" }],
    },
    {
      start: "0x8000000000",
      last: "0xffffffffffffffff",
      causes: [{ kind: "aperture", device: "0000:01:00.0" }],
    },
  ],
};

it("draws every address of an answer, and its causes", () => {
  const text = drawText(
    { lanes: [laneOfAllowed("0000:01:00.0", ANSWER)], notes: notesOf(ANSWER) },
    plain,
  ).join("\n");
  for (const { start } of [...ANSWER.ranges, ...ANSWER.excluded]) expect(text).toContain(start);
  expect(text).toContain("msi: 0000:01:00.0");
  expect(text).toContain("outside the aperture");
});

it("a window that cannot be used everywhere is cut where it cannot", () => {
  const window = { name: "ram", start: "0x0", last: "0xfff", conflicts: [{ start: "0x100", last: "0x1ff" }] };
  expect(
    laneOfWindows("guest", [window]).parts.map(({ start, last, kind }) => [
      formatAddress(start),
      formatAddress(last),
      kind,
    ]),
  ).toEqual([
    ["0x0", "0xff", "window"],
    ["0x100", "0x1ff", "conflict"],
    ["0x200", "0xfff", "window"],
  ]);
});

it("lanes that show the same are one, which says how many more there are", () => {
  const lane = laneOfAllowed("a", ANSWER);
  const other = laneOfAllowed("c", { ranges: [], excluded: [] });
  expect(mergeAlike([lane, { ...lane, title: "b" }, other]).map(({ title }) => title)).toEqual(["a +1", "c"]);
});

it("says whose fault it is in time that grows with how many they are", () => {
  const many = Array.from({ length: 200_000 }, (_, i) => ({ kind: "host", host: `n${i}` }));
  const begin = performance.now();
  expect(causesText(many)).toBe("host: n0, n1, n2 and 199997 more");
  expect(performance.now() - begin).toBeLessThan(3000);
});

it("an SVG has its text as text, and nothing of it can break out", () => {
  const svg = drawSvg({ lanes: [laneOfAllowed("<&>", ANSWER)], notes: [] }, '"<script>');
  expect(svg).toContain("<text");
  expect(svg).toContain("&lt;&amp;&gt;");
  expect(svg).not.toContain("<script");
  expect(svg).toContain("prefers-color-scheme: dark");
  expect(escapeXml(`<&>"`)).toBe("&lt;&amp;&gt;&quot;");
});
