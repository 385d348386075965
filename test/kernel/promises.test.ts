import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Client, DaemonError } from "../../src/client/index.ts";
import { MSI_LAST, MSI_START } from "../conformance/session.ts";
import { Daemon } from "../daemon/daemon.ts";
import { runs } from "../runs.ts";
import { endUnsurprised, probeDrivers, unbind, wireRanges } from "./guest.ts";
import { randomRun } from "./seed.ts";

/** Every page of the platforms is one, or some of them. */
const UNIT = 0x10000n;
const RUNS = runs(30, 100);

let daemon: Daemon;
let client: Client;
let all: string[];

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
  const { devices } = await client.call("query-devices", { driver: "vfio-pci" });
  all = devices.map(({ device }) => device);
});
afterAll(() => endUnsurprised(daemon));

/** Where a window may begin, in units: low, around the MSI window, around the ends of 39 and 48 bits. */
const first = fc
  .tuple(
    fc.constantFrom(0n, MSI_START / UNIT, MSI_LAST / UNIT, 1n << 23n, 1n << 31n, 1n << 32n),
    fc.bigInt(-3n, 3n),
  )
  .map(([place, n]) => (place + n < 0n ? 0n : place + n));
const layout = fc
  .array(fc.tuple(first, fc.bigInt(1n, 40n)), { minLength: 1, maxLength: 4 })
  .map((windows) => wireRanges(windows.map(([start, units]) => [start * UNIT, (start + units) * UNIT - 1n])));

/** Which of the devices, bit by bit: `most` of ten times all of them. */
const bits = fc.integer({ min: 0, max: 255 });
const mostly = (usual: number, most: number) =>
  fc.oneof({ weight: most, arbitrary: fc.constant(usual) }, { weight: 10 - most, arbitrary: bits });
const among = (bits: number) => all.filter((_, i) => bits & (1 << i));

/** The host as it is when it is asked, and the guest that it is asked for. */
const question = fc.record({
  chosen: bits,
  unbound: mostly(0, 8),
  probed: mostly(255, 7),
  held: mostly(0, 5),
  ranges: layout,
});

it("what is promised of a layout, or of a device, is what the kernel does", {
  timeout: 600_000,
}, async () => {
  const outcomes = new Map<string, number>();
  const count = (outcome: string) => outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  const property = fc.asyncProperty(question, async ({ chosen, ranges, ...host }) => {
    const some = among(chosen);
    const devices = some.length > 0 ? some : all;
    const unbound = among(host.unbound);
    unbound.forEach(unbind);
    try {
      for (const device of among(host.probed)) await ask("probe-device", { device });
      await client.call("create-context", { context: "others" });
      for (const device of among(host.held)) await ask("hold-device", { device, context: "others" });
      const { fits, exact, blockers } = await client.call("check-layout", {
        layout: ranges.map((range) => ({ name: "window", ...range })),
        devices,
      });
      for (const device of devices) {
        const { available } = (await client.call("query-devices", { device })).devices[0] ?? {};
        const refused = await attempt([device], []);
        expect({ device, available }).toEqual({ device, available: refused === undefined });
        count(available ? "available" : "not available");
      }
      await client.call("destroy-context", { context: "others" });
      const outcome = exact || blockers.length > 0 ? (fits ? "fits" : "does not fit") : "not sure";
      const refused = await attempt(devices, ranges);
      if (outcome === "fits") expect(refused).toBe(undefined);
      if (outcome === "does not fit") expect(refused).toBeInstanceOf(DaemonError);
      count(outcome);
    } finally {
      await ask("destroy-context", { context: "others" });
      unbound.forEach(probeDrivers);
    }
  });
  // As many as an emulated processor has time for, a busy host's, too: those that there have to be stand below.
  const run = { ...randomRun("promises", 150_000), markInterruptAsFailure: false };
  // Most hosts cannot: this one can, and what it cannot is translate the interrupts' addresses.
  const free = { chosen: 255, unbound: 0, probed: 255, held: 0 };
  const layouts = [
    [1n << 30n, (1n << 31n) - 1n],
    [MSI_START, MSI_LAST],
  ] as const;
  const examples = layouts.map((layout): [typeof free & { ranges: ReturnType<typeof wireRanges> }] => [
    { ...free, ranges: wireRanges([layout]) },
  ]);
  await fc.assert(property, { numRuns: RUNS, examples, ...run });
  console.log("promises:", Object.fromEntries(outcomes));
  expect([...outcomes.keys()]).toEqual(
    expect.arrayContaining(["available", "not available", "fits", "does not fit"]),
  );
});

/** What may be refused: then it has not happened, and is no part of the host. */
async function ask(...request: Parameters<Client["request"]>): Promise<void> {
  await client.request(...request).catch((error) => expect(error).toBeInstanceOf(DaemonError));
}

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
    await client.call("allow-ranges", { context, ioas, ranges: [...ranges] });
    return undefined;
  } catch (error) {
    return error;
  } finally {
    await client.call("destroy-context", { context });
  }
}
