import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attribute } from "../../src/attribution/attribution.ts";
import type { KnownDevice } from "../../src/host/knowledge/claims.ts";
import { makePlan } from "../../src/plan/plan.ts";
import { deviceSource, ioasSource } from "../../src/plan/sources.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { finish } from "../../src/ranges/steps.ts";
import { Simulation, type TestTopology } from "../host/simulation.ts";
import { runs } from "../runs.ts";

const DEVICES = ["0000:00:01.0", "0000:00:02.0", "0000:00:03.0", "0000:00:04.0"];

const address = fc.oneof(
  fc.bigInt(0n, 0x40n).map((page) => page << 12n),
  fc.bigInt(0n, 0xffffffffffffffffn),
  fc.constantFrom(0n, 0xfee00000n, 0x7fffffffffn, 0xffffffffffffffffn),
);
const range = fc
  .tuple(address, address)
  .map(([a, b]) => (a <= b ? [a, b] : [b, a]).map((bound) => `0x${bound.toString(16)}`))
  .map(([start = "", last = ""]) => ({ start, last }));
const region = fc
  .tuple(range, fc.constantFrom("msi", "reserved", "direct-relaxable"))
  .map(([where, type]) => ({ ...where, type }));

/** Groups of one device and more, behind two IOMMUs that translate different parts of the address space. */
const topology: fc.Arbitrary<TestTopology> = fc
  .record({
    apertures: fc.tuple(range, range),
    pages: fc.tuple(fc.constantFrom(512, 4096), fc.constantFrom(1024, 4096)),
    devices: fc.tuple(
      ...DEVICES.map(() =>
        fc.record({ group: fc.integer({ min: 0, max: 4 }), regions: fc.array(region, { maxLength: 3 }) }),
      ),
    ),
  })
  .map(({ apertures, pages, devices }) => ({
    iommus: apertures.map((aperture, i) => ({ name: `dmar${i}`, aperture, "page-size": pages[i] })),
    devices: devices.map((device, i) => ({
      ...device,
      device: DEVICES[i] as string,
      iommu: `dmar${device.group % 2}`,
    })),
  }));

/** Attaches the devices to one IOAS for real, and tells what the host knew of them before. */
async function attachAll(simulation: Simulation, devices: readonly string[]) {
  const { host } = simulation;
  const before = await host.reservedOf(await host.findAll(devices));
  const ioas = host.createIoas("default");
  for (const device of devices) {
    await host.hold(device, "default");
    await host.attach(device, ioas.id);
  }
  return { before, ioas, actual: await host.allowed(ioas) };
}

function planOf(devices: readonly KnownDevice[]) {
  return finish(makePlan(devices.map(deviceSource)));
}

const chosen = fc.subarray(DEVICES, { minLength: 1 });

describe("a plan, held against what the kernel answers after attaching the same devices,", () => {
  it("is exact and equal when every device was probed", async () => {
    await fc.assert(
      fc.asyncProperty(topology, chosen, async (given, devices) => {
        const simulation = new Simulation(given);
        for (const device of devices) await simulation.host.probe(device);
        const { before, actual } = await attachAll(simulation, devices);
        const plan = planOf(before);
        expect(plan.exact).toBe(true);
        expect([...plan.ranges]).toEqual([...actual.ranges]);
        expect(plan.alignment).toBe(actual.alignment);
        expect(RangeSet.from(attribute(plan.claims)).equals(actual.ranges.invert())).toBe(true);
      }),
      { numRuns: runs(15, 300) },
    );
  });

  it("without a probe of each is not exact, names who is missing, and allows nothing within the aperture that the kernel does not", async () => {
    await fc.assert(
      fc.asyncProperty(topology, chosen, fc.subarray(DEVICES), async (given, devices, probed) => {
        const simulation = new Simulation(given);
        for (const device of probed) await simulation.host.probe(device);
        const { before, actual } = await attachAll(simulation, devices);
        const plan = planOf(before);
        const missing = devices.filter((device) => !probed.includes(device));
        expect(plan.exact).toBe(missing.length === 0);
        for (const device of missing) expect(plan.hint).toContain(device);
        const hull = actual.ranges.hull();
        const within = hull ? plan.ranges.intersect(RangeSet.from([hull])) : RangeSet.EMPTY;
        expect([...within.subtract(actual.ranges)]).toEqual([]);
      }),
      { numRuns: runs(15, 300) },
    );
  });

  it("for the IOAS itself is the kernel's answer, and its known devices account for all that it lacks", async () => {
    await fc.assert(
      fc.asyncProperty(topology, chosen, fc.boolean(), async (given, devices, probe) => {
        const simulation = new Simulation(given);
        if (probe) for (const device of devices) await simulation.host.probe(device);
        const { before, ioas, actual } = await attachAll(simulation, devices);
        const known = await simulation.host.reservedOf(await simulation.host.findAll(ioas.devices));
        const plan = finish(makePlan([finish(ioasSource(actual.ranges, actual.alignment, known))]));
        expect(plan.exact).toBe(true);
        expect([...plan.ranges]).toEqual([...actual.ranges]);
        const causes = [...attribute(plan.claims)].flatMap((exclusion) => exclusion.causes);
        if (probe) expect(causes.filter(({ device }) => device === undefined)).toEqual([]);
        expect(before).toHaveLength(devices.length);
      }),
      { numRuns: runs(15, 300) },
    );
  });

  it("for another device on top of the IOAS is what the kernel answers after attaching it too", async () => {
    await fc.assert(
      fc.asyncProperty(topology, fc.shuffledSubarray(DEVICES, { minLength: 2 }), async (given, devices) => {
        const simulation = new Simulation(given);
        const { host } = simulation;
        const [last, ...first] = devices as [string, ...string[]];
        await host.probe(last);
        const [known] = await host.reservedOf(await host.findAll([last]));
        const { ioas, actual } = await attachAll(simulation, first);
        const space = finish(ioasSource(actual.ranges, actual.alignment, []));
        const plan = finish(makePlan([space, deviceSource(known as KnownDevice)]));
        await host.hold(last, "default");
        const { answer } = await host.attach(last, ioas.id);
        expect(plan.exact).toBe(true);
        expect([...plan.ranges]).toEqual([...answer.ranges]);
        expect(plan.alignment).toBe(answer.alignment);
      }),
      { numRuns: runs(15, 300) },
    );
  });
});
