import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { agrees, predict } from "../../src/host/knowledge/prediction.ts";
import type { Reserved } from "../../src/host/knowledge/reserved.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { runs } from "../runs.ts";

/*
 * The model: an address space of eight blocks, each an eighth of the real one, a set of them being the bits of a byte.
 * For every way in which the world may be, as far as the sources leave it open, it works out what the kernel answers.
 */
const BLOCKS = 8;
const ALL = 2 ** BLOCKS - 1;

function toRanges(set: number): RangeSet {
  const block = (1n << 64n) / BigInt(BLOCKS);
  const members = [...Array(BLOCKS).keys()].filter((index) => set & (1 << index)).map(BigInt);
  return RangeSet.from(members.map((index) => ({ start: index * block, last: (index + 1n) * block - 1n })));
}

const subsetsOf = (set: number) => [...Array(ALL + 1).keys()].filter((subset) => (subset & ~set) === 0);

/** Every aperture: blocks in a row, at least one. */
const APERTURES = [...Array(BLOCKS).keys()].flatMap((first) =>
  [...Array(BLOCKS - first).keys()].map((more) => (2 ** (more + 1) - 1) << first),
);

/** What is known of a device; `aperture` null: nothing is known of it. */
interface Sources {
  readonly certain: number;
  readonly uncertain: number;
  readonly aperture: number | null;
  readonly truncated: boolean;
}

const sources = fc.record<Sources>({
  certain: fc.nat(ALL),
  uncertain: fc.oneof(
    fc.constant(0),
    fc.nat(ALL).map((set) => set & 0x3c),
  ),
  aperture: fc.option(fc.constantFrom(...APERTURES)),
  truncated: fc.constantFrom(...Array(5).fill(false), true),
});

function toReserved({ certain, uncertain, aperture, truncated }: Sources): Reserved {
  return {
    source: "sysfs",
    backend: null,
    scope: "group",
    regions: [],
    truncated,
    excluded: toRanges(certain | (aperture === null ? 0 : ALL & ~aperture)),
    uncertain: toRanges(uncertain),
    aperture: aperture === null ? null : (toRanges(aperture).hull() ?? null),
    apertureSource: aperture === null ? "unknown" : "probe",
    alignment: null,
    cached: false,
    generation: 1,
  };
}

/** What one device may turn out to exclude. */
function exclusions({ certain, uncertain, aperture, truncated }: Sources): Set<number> {
  const found = new Set<number>();
  for (const sibling of subsetsOf(uncertain)) {
    for (const each of aperture === null ? APERTURES : [aperture]) {
      const least = certain | sibling | (ALL & ~each);
      for (const unseen of truncated ? subsetsOf(ALL & ~least) : [0]) found.add(least | unseen);
    }
  }
  return found;
}

/** What the kernel may answer with these devices attached. */
function possibleAnswers(devices: readonly Sources[]): Set<number> {
  let answers = [ALL];
  for (const device of devices) {
    const excluded = [...exclusions(device)];
    answers = [...new Set(answers.flatMap((answer) => excluded.map((set) => answer & ~set)))];
  }
  return new Set(answers);
}

const devices = fc.array(sources, { maxLength: 3 });

describe("the prediction", () => {
  it("is the widest answer that the kernel may give, and less only by what is uncertain, unknown or unseen", () => {
    fc.assert(
      fc.property(devices, (devices) => {
        const answers = [...possibleAnswers(devices)];
        const { ranges, uncertain, aperturesKnown, complete } = predict(devices.map(toReserved));
        const widest = answers.reduce((all, answer) => all | answer, 0);
        assert.deepEqual([...ranges], [...toRanges(widest)]);
        assert(answers.includes(widest));
        if (!aperturesKnown || !complete) return;
        const narrowest = answers.reduce((all, answer) => all & answer, ALL);
        assert.deepEqual([...ranges.subtract(uncertain)], [...toRanges(narrowest)]);
      }),
      { numRuns: runs(30, 180) },
    );
  });

  it("without a device is everything, for certain", () => {
    const { ranges, uncertain, aperturesKnown, complete } = predict([]);
    expect(ranges.equals(RangeSet.ALL)).toBe(true);
    expect(uncertain.isEmpty).toBe(true);
    expect([aperturesKnown, complete]).toEqual([true, true]);
  });

  it("takes an estimated aperture for unknown", () => {
    const device = { ...toReserved({ certain: 1, uncertain: 0, aperture: null, truncated: false }) };
    const estimated = { ...device, aperture: toRanges(0x0f).hull(), apertureSource: "estimate" as const };
    expect(predict([estimated])).toEqual(predict([device]));
    expect(predict([estimated]).aperturesKnown).toBe(false);
  });
});

describe("an answer of the kernel", () => {
  it("agrees exactly when some world that the sources leave open gives it, if it allows anything", () => {
    fc.assert(
      fc.property(devices, (devices) => {
        const answers = possibleAnswers(devices);
        const prediction = predict(devices.map(toReserved));
        for (let answer = 1; answer <= ALL; answer++) {
          assert.equal(agrees(prediction, toRanges(answer)), answers.has(answer), answer.toString(2));
        }
      }),
      { numRuns: runs(30, 180) },
    );
  });

  it("that allows nothing agrees whenever some world gives it, and never when the sources know everything", () => {
    fc.assert(
      fc.property(devices, (devices) => {
        const answers = possibleAnswers(devices);
        const prediction = predict(devices.map(toReserved));
        const agreed = agrees(prediction, RangeSet.EMPTY);
        if (answers.has(0)) assert(agreed);
        else if (prediction.aperturesKnown) assert(!agreed);
      }),
      { numRuns: runs(100, 600) },
    );
  });

  it("never agrees when it is wider than the prediction by a single byte", () => {
    const byte = { start: 0x1000n, last: 0x1000n };
    const device = {
      ...toReserved({ certain: 0, uncertain: 0, aperture: null, truncated: true }),
      excluded: RangeSet.from([byte]),
    };
    expect(agrees(predict([device]), RangeSet.ALL)).toBe(false);
    expect(agrees(predict([device]), RangeSet.from([byte]).invert())).toBe(true);
    expect(agrees(predict([device]), RangeSet.from([byte]))).toBe(false);
  });
});
