import { isDeepStrictEqual } from "node:util";
import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { kernelUnderTest, LAB } from "../conformance/kernel-under-test.ts";
import { Player } from "./player.ts";
import { randomRun } from "./seed.ts";
import { type Step, step } from "./steps.ts";

const STEPS = 10_000;
const LONGEST = 120;
const SECOND = 1000;

const { kernel } = await kernelUnderTest();
const { stackTraceLimit } = Error;
beforeAll(() => {
  // Most calls are refused, and nobody looks at where from: finding that out takes longer than the call.
  Error.stackTraceLimit = 0;
});
afterAll(async () => {
  Error.stackTraceLimit = stackTraceLimit;
  await kernel.shutdown();
});

const topology = parseTopology({ ...LAB, kernel: { ...LAB.kernel, "iommufd-test": true } });
let played = 0;

/** The first step whose outcome differs, and both outcomes. */
async function difference(steps: readonly Step[]) {
  const linux = new Player(kernel);
  const simulated = new Player(new SimulatedKernel(topology));
  try {
    for (const [index, each] of steps.entries()) {
      played++;
      const outcomes = { linux: await linux.play(each), simulated: await simulated.play(each) };
      if (!isDeepStrictEqual(outcomes.linux, outcomes.simulated)) return { index, ...outcomes };
    }
    return undefined;
  } finally {
    await linux.end();
    await simulated.end();
  }
}

/** What a person needs: the steps up to the difference, and in what the two differ. */
async function explain(steps: readonly Step[]): Promise<string> {
  const found = await difference(steps);
  if (!found) return "a difference that did not come again when the steps were repeated";
  const lines = steps.slice(0, found.index + 1).map(({ text }, index) => `${index + 1}. ${text}`);
  const side = (name: "linux" | "simulated", other: "linux" | "simulated") =>
    Object.entries(found[name])
      .filter(([member, value]) => !isDeepStrictEqual(value, found[other][member as "ioases"]))
      .map(([member, value]) => `${name.padEnd(9)} ${member}: ${[value].flat().join("; ")}`);
  return [...lines, ...side("linux", "simulated"), ...side("simulated", "linux")].join("\n");
}

it("Linux and the simulated kernel give the same bytes, errno, ranges and alignment in any sequence of calls", {
  timeout: 400 * SECOND,
}, async () => {
  const run = randomRun("differential test", 300 * SECOND);
  const details = await fc.check(
    fc.asyncProperty(fc.array(step, { maxLength: LONGEST, size: "max" }), async (steps) => {
      return (await difference(steps)) === undefined;
    }),
    { ...run, numRuns: 225 },
  );
  console.log(
    `differential test: ${details.numRuns} sequences, ${played} steps, ${details.numShrinks} shrinks`,
  );
  const steps = details.counterexample?.[0];
  if (steps) expect.fail(`they differ (IOVAD_SEED=${details.seed}):\n${await explain(steps)}`);
  expect(details.interrupted).toBe(false);
  expect(played).toBeGreaterThanOrEqual(STEPS);
});
