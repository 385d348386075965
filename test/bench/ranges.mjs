// Normalises and inverts a million random ranges, and times a C program that does the same with qsort.
// Goal: within twice the time of C. Run after a build: `node test/bench/ranges.mjs`.
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { RangeSet } from "../../dist/ranges/range-set.js";

const run = promisify(execFile);
const COUNT = 1_000_000;
const SEED = 88172645463325252n;
const ROUNDS = 9;
const WARM_UPS = 2;
const U64_MAX = 2n ** 64n - 1n;

/** @returns {Promise<{ranges: number, holes: number, milliseconds: number, referenceMilliseconds: number | null, ratio: number | null}>} medians; null where there is no gcc */
export async function benchRanges() {
  const directory = await mkdtemp(join(tmpdir(), "iovad-bench-"));
  try {
    const reference = await compileReference(directory);
    const { starts, lasts } = randomRanges(COUNT, SEED);
    const ours = [];
    const theirs = [];
    let holes = 0;
    // In alternation, so that a machine that slows down or speeds up does so for both.
    for (let round = -WARM_UPS; round < ROUNDS; round++) {
      const began = performance.now();
      const set = RangeSet.fromBounds(starts, lasts).invert();
      const milliseconds = performance.now() - began;
      const expected = reference === null ? null : await runReference(reference);
      if (round === -WARM_UPS && expected !== null) assertSameHoles(set, expected);
      holes = set.size;
      if (round < 0) continue;
      ours.push(milliseconds);
      if (expected !== null) theirs.push(expected.milliseconds);
    }
    const milliseconds = median(ours);
    const referenceMilliseconds = reference === null ? null : median(theirs);
    return {
      ranges: COUNT,
      holes,
      milliseconds,
      referenceMilliseconds,
      ratio: referenceMilliseconds === null ? null : milliseconds / referenceMilliseconds,
    };
  } finally {
    await rm(directory, { recursive: true });
  }
}

async function compileReference(directory) {
  const executable = join(directory, "reference");
  const source = fileURLToPath(new URL("./ranges/reference.c", import.meta.url));
  try {
    await run("gcc", ["-O2", "-o", executable, source]);
    return executable;
  } catch (error) {
    if (error.code !== "ENOENT") throw error;
    return null;
  }
}

async function runReference(executable) {
  const { stdout } = await run(executable, [`${COUNT}`, `${SEED}`]);
  const [milliseconds, holes, checksum] = stdout.trim().split(" ");
  return { milliseconds: Number(milliseconds), holes: Number(holes), checksum: BigInt(checksum) };
}

/** A time means something only for the same answer to the same question. */
function assertSameHoles(set, expected) {
  let checksum = 0n;
  for (const { start, last } of set) {
    checksum = BigInt.asUintN(64, (checksum * 31n + start) * 31n + last);
  }
  if (set.size !== expected.holes || checksum !== expected.checksum) {
    throw new Error(
      `the answers differ: ${set.size} holes with checksum ${checksum}, in C ${expected.holes} with ${expected.checksum}`,
    );
  }
}

/** The generator of ranges/reference.c. */
function randomRanges(count, seed) {
  const starts = new BigUint64Array(count);
  const lasts = new BigUint64Array(count);
  let state = seed;
  const next = () => {
    state ^= BigInt.asUintN(64, state << 13n);
    state ^= state >> 7n;
    state ^= BigInt.asUintN(64, state << 17n);
    return state;
  };
  for (let i = 0; i < count; i++) {
    const start = next();
    const last = start + (next() >> 20n);
    starts[i] = start;
    lasts[i] = last > U64_MAX ? U64_MAX : last;
  }
  return { starts, lasts };
}

function median(values) {
  return values.toSorted((a, b) => a - b)[values.length >> 1];
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { ranges, holes, milliseconds, referenceMilliseconds, ratio } = await benchRanges();
  console.log(`${ranges} ranges to ${holes} holes: ${milliseconds.toFixed(1)} ms`);
  console.log(
    ratio === null
      ? "no gcc here, so no reference"
      : `in C with qsort: ${referenceMilliseconds.toFixed(1)} ms; ratio ${ratio.toFixed(2)} (goal: at most 2)`,
  );
}
