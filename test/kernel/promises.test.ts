import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Client, DaemonError } from "../../src/client/index.ts";
import { MSI_LAST, MSI_START } from "../conformance/session.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, wireRanges } from "./guest.ts";
import { randomRun } from "./seed.ts";

/** Every page of the platforms is one, or some of them. */
const UNIT = 0x10000n;
const RUNS = 100;

let daemon: Daemon;
let client: Client;
let all: string[];

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
  const { devices } = await client.call("query-devices", { driver: "vfio-pci" });
  all = devices.map(({ device }) => device);
  for (const { device } of devices.filter(({ available }) => available)) {
    await client.call("probe-device", { device });
  }
}, 120_000);
afterAll(async () => {
  await endUnsurprised(daemon);
});

/** Where a window may begin, in units: low, around the MSI window, around the ends of 39 and 48 bits. */
const first = fc
  .tuple(fc.constantFrom(0n, MSI_START / UNIT, MSI_LAST / UNIT, 1n << 23n, 1n << 32n), fc.bigInt(-3n, 3n))
  .map(([place, n]) => (place + n < 0n ? 0n : place + n));
const layout = fc
  .array(fc.tuple(first, fc.bigInt(1n, 40n)), { minLength: 1, maxLength: 4 })
  .map((windows) => wireRanges(windows.map(([start, units]) => [start * UNIT, (start + units) * UNIT - 1n])));
/** Which of the devices, bit by bit. */
const chosen = fc.integer({ min: 1, max: 255 });

it("what is promised of a layout is what the kernel does", { timeout: 600_000 }, async () => {
  const outcomes = new Map<string, number>();
  const property = fc.asyncProperty(chosen, layout, async (bits, ranges) => {
    const some = all.filter((_, i) => bits & (1 << i));
    const devices = some.length > 0 ? some : all;
    const checked = await client.call("check-layout", {
      layout: ranges.map((range) => ({ name: "window", ...range })),
      devices,
    });
    const refused = await attempt(devices, ranges);
    const { fits, exact, blockers } = checked;
    const outcome = exact || blockers.length > 0 ? (fits ? "fits" : "does not") : "not sure";
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (outcome === "fits") expect(refused).toBe(undefined);
    if (outcome === "does not") expect(refused).toBeInstanceOf(DaemonError);
  });
  await fc.assert(property, { numRuns: RUNS, ...randomRun("promises", 500_000) });
  console.log("promises:", Object.fromEntries(outcomes));
  // All of them were probed.
  expect([...outcomes.keys()]).not.toContain("not sure");
  expect(outcomes.size).toBe(2);
});

/** What one of the steps is refused with, in a context and an IOAS of their own. */
async function attempt(devices: readonly string[], ranges: ReturnType<typeof wireRanges>) {
  const context = "tried";
  await client.call("create-context", { context });
  try {
    const { ioas } = await client.call("create-ioas", { context });
    for (const device of devices) {
      await client.call("hold-device", { device, context });
      await client.call("attach-device", { device, ioas });
    }
    await client.call("allow-ranges", { context, ioas, ranges });
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await client.call("destroy-context", { context });
  }
}
