import assert from "node:assert/strict";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Iommufd } from "../../src/kernel/iommufd.ts";
import type { Kernel } from "../../src/kernel/kernel.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import type { Range } from "../../src/ranges/range.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { IOMMU_TEST_CMD } from "../../src/uapi/iommufd.ts";
import { IOMMU_TEST_OP_ADD_RESERVED, iommu_test_cmd } from "../../src/uapi/iommufd-test.ts";
import { kernelUnderTest } from "../conformance/kernel-under-test.ts";
import { readRanges } from "./raw-ranges.ts";
import { randomRun } from "./seed.ts";

const U64_MAX = (1n << 64n) - 1n;
const SETS = 1000;
const SECOND = 1000;

/** Near both ends many fall on each other. */
const address = fc.oneof(
  fc.bigInt(0n, U64_MAX),
  fc.bigInt(0n, 40n),
  fc.bigInt(0n, 40n).map((below) => U64_MAX - below),
  fc.constantFrom(0n, 0xfffn, 0x1000n, 0xfee0_0000n, 0x7f_ffff_ffffn, 1n << 63n, U64_MAX),
);
const range = fc
  .tuple(address, address, fc.boolean())
  .map(([a, b, isByte]): Range => (isByte ? { start: a, last: a } : between(a, b)))
  // All of the address space has a length that no 64 bits hold.
  .map(({ start, last }) =>
    start === 0n && last === U64_MAX ? { start, last: U64_MAX - 1n } : { start, last },
  );
const few = fc.array(range, { maxLength: 14 });
/** Ranges inside a range, each inside the one before. */
const nested = fc
  .uniqueArray(address, { minLength: 4, maxLength: 24 })
  .map((ends) => ends.toSorted((a, b) => (a < b ? -1 : 1)))
  .map((ends) =>
    ends.slice(1, ends.length / 2).map((end, index) => between(end, ends.at(-2 - index) ?? end)),
  );
/** The space between cuts, piece by piece and in any order, with or without one that is left free. */
const touching = fc
  .uniqueArray(fc.oneof(address, fc.constantFrom(0n, U64_MAX)), { minLength: 2, maxLength: 30 })
  .map((cuts) => cuts.toSorted((a, b) => (a < b ? -1 : 1)))
  .map((cuts) => cuts.slice(1).map((cut, index) => ({ start: cuts[index] ?? 0n, last: cut - 1n })))
  .chain((pieces) => fc.shuffledSubarray([...pieces, { start: U64_MAX, last: U64_MAX }], { minLength: 1 }));
/** Mostly a thousand and more of one width at one distance: overlapping, touching, or with holes between them. */
const many = fc
  .record({
    // Without a bias to small numbers, but they are what a failure shrinks to.
    count: fc.noBias(fc.integer({ min: 1, max: 4000 })),
    distance: fc.bigInt(1n, 1n << 40n),
    width: fc.oneof(fc.constantFrom(1n, 2n), fc.bigInt(1n, 1n << 40n)),
    from: fc.bigInt(0n, 1n << 62n),
  })
  .map(({ count, distance, width, from }) =>
    Array.from({ length: count }, (_, index) => {
      const start = from + BigInt(index) * distance;
      return { start, last: start + width - 1n };
    }),
  );
const reservedSet = fc.oneof(
  { weight: 60, arbitrary: few },
  { weight: 20, arbitrary: nested },
  { weight: 40, arbitrary: touching },
  { weight: 1, arbitrary: many },
);

function between(a: bigint, b: bigint): Range {
  return a <= b ? { start: a, last: b } : { start: b, last: a };
}

/** Puts a range into the IOAS that no device of it has. */
function addReserved({ kernel, iommufd }: Side, ioas: number, { start, last }: Range): void {
  const length = last - start + 1n;
  const argument = iommu_test_cmd.encode({ op: IOMMU_TEST_OP_ADD_RESERVED, id: ioas, start, length });
  kernel.ioctl(iommufd.fd, IOMMU_TEST_CMD, argument);
}

interface Side {
  readonly kernel: Kernel;
  readonly iommufd: Iommufd;
}

const { kernel } = await kernelUnderTest();
const machine = new SimulatedKernel(parseTopology({ kernel: { "iommufd-test": true } }));
let linux: Side;
let simulated: Side;
beforeAll(() => {
  linux = { kernel, iommufd: Iommufd.open(kernel) };
  simulated = { kernel: machine, iommufd: Iommufd.open(machine) };
});
afterAll(async () => {
  await linux.iommufd.close();
  await kernel.shutdown();
});

/** What is left of the reserved ranges on one side, read in each way. */
async function examine(side: Side, reserved: readonly Range[], expected: RangeSet, room: number) {
  const { kernel, iommufd } = side;
  const ioas = iommufd.allocIoas();
  try {
    for (const each of reserved) addReserved(side, ioas, each);
    const whole = { code: "OK", count: expected.size, ranges: [...expected], alignment: 1n };
    assert.deepEqual(await readRanges(kernel, iommufd.fd, ioas, expected.size + 3), whole);

    const code = expected.isEmpty ? "OK" : "EMSGSIZE";
    const part = await readRanges(kernel, iommufd.fd, ioas, room);
    assert.deepEqual(part, { ...whole, code, ranges: whole.ranges.slice(0, room) });

    const answer = await iommufd.iovaRanges(ioas);
    assert.deepEqual([...answer.ranges], whole.ranges);
    assert.equal(answer.alignment, 1n);

    // What is left may be allowed again, but for single bytes (ioas.c: iommufd_ioas_load_iovas).
    await iommufd.allowIovas(ioas, RangeSet.from(whole.ranges.filter(({ start, last }) => start < last)));
  } finally {
    iommufd.destroy(ioas);
  }
}

it("what the kernel leaves of any reserved ranges is what RangeSet leaves, read in each way", {
  timeout: 400 * SECOND,
}, async () => {
  let ranges = 0;
  const details = await fc.check(
    fc.asyncProperty(reservedSet, fc.nat(), async (reserved, anything) => {
      ranges += reserved.length;
      const expected = RangeSet.from(reserved).invert();
      const room = expected.isEmpty ? 0 : anything % expected.size;
      for (const side of [linux, simulated]) await examine(side, reserved, expected, room);
    }),
    { ...randomRun("reserved sets", 300 * SECOND), numRuns: SETS },
  );
  console.log(`reserved sets: ${details.numRuns} sets of ${ranges} ranges`);
  if (details.counterexample) {
    const [reserved] = details.counterexample;
    const texts = reserved.map(({ start, last }) => `[0x${start.toString(16)}, 0x${last.toString(16)}]`);
    const shown = texts.slice(0, 20).join(" ") + (texts.length > 20 ? ` and ${texts.length - 20} more` : "");
    expect.fail(`reserved: ${shown}\n${details.errorInstance}`);
  }
  expect(details.interrupted).toBe(false);
});
