import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import type { Context } from "../../src/host/context.ts";
import { HostError } from "../../src/host/errors.ts";
import { Host } from "../../src/host/host.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { assertModelEqualsKernel } from "./simulation.ts";

const DEVICES = ["0000:00:01.0", "0000:00:02.0", "0000:00:03.0", "0000:00:04.0"];
const CONTEXTS = ["default", "guest"];

const address = fc.oneof(
  fc.bigInt(0n, 0x40n).map((page) => page << 12n),
  fc.bigInt(0n, 0xffffffffffffffffn),
  fc.constantFrom(0n, 0xfee00000n, 0x7fffffffffn, 0xffffffffffffffffn),
);
const range = fc
  .tuple(address, address)
  .map(([a, b]) => (a <= b ? { start: a, last: b } : { start: b, last: a }));
const hex = ({ start, last }: { start: bigint; last: bigint }) => ({
  start: `0x${start.toString(16)}`,
  last: `0x${last.toString(16)}`,
});
const region = fc
  .tuple(range, fc.constantFrom("msi", "reserved", "direct-relaxable"))
  .map(([where, type]) => ({ ...hex(where), type }));

const topology = fc
  .record({
    apertures: fc.tuple(range, range),
    devices: fc.tuple(
      ...DEVICES.map(() =>
        fc.record({
          group: fc.integer({ min: 0, max: 3 }),
          regions: fc.array(region, { maxLength: 3 }),
          driver: fc.constantFrom(...Array(9).fill("vfio-pci"), null, "nvme"),
          direct: fc.constantFrom(...Array(9).fill([]), [
            { start: "0x5000", last: "0x5fff", type: "direct" },
          ]),
        }),
      ),
    ),
  })
  .map(({ apertures, devices }) => ({
    iommus: apertures.map((aperture, index) => ({ name: `dmar${index}`, aperture: hex(aperture) })),
    devices: devices.map(({ direct, ...device }, index) => ({
      ...device,
      regions: [...device.regions, ...direct],
      device: DEVICES[index],
      iommu: `dmar${device.group % 2}`,
    })),
  }));

const device = fc.constantFrom(...DEVICES);
const context = fc.constantFrom(...CONTEXTS);
/** The n-th IOAS of the context, or of the device's context; an id that does not exist where there are fewer. */
const nth = fc.integer({ min: 0, max: 2 });
const operation = fc.oneof(
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("create-context" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy-context" as const) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("create-ioas" as const), context }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy-ioas" as const), context, nth }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("allow" as const),
      context,
      nth,
      ranges: fc.array(range, { maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("probe" as const), device }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("hold" as const), device, context }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("release" as const), device }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("attach" as const), device, nth }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("detach" as const), device }) },
);
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never;

function ioasOf(host: Host, context: string | undefined, nth: number): number {
  const ids =
    host
      .contexts()
      .find(({ name }) => name === context)
      ?.ioases.keys() ?? [];
  return [...ids][nth] ?? 99;
}

async function perform(host: Host, step: Operation): Promise<unknown> {
  switch (step.kind) {
    case "create-context":
      return host.createContext("guest", "persistent");
    case "destroy-context":
      return host.destroyContext("guest");
    case "create-ioas":
      return host.createIoas(step.context);
    case "destroy-ioas":
      return host.destroyIoas(step.context, ioasOf(host, step.context, step.nth));
    case "allow":
      return host.allowRanges(step.context, ioasOf(host, step.context, step.nth), RangeSet.from(step.ranges));
    case "probe":
      return host.probe(step.device);
    case "hold":
      return host.hold(step.device, step.context);
    case "release":
      return host.release(step.device);
    case "attach":
      return host.attach(step.device, ioasOf(host, contextOf(host, step.device), step.nth));
    case "detach":
      return host.detach(step.device);
  }
}

function contextOf(host: Host, name: string): string | undefined {
  const holds = (context: Context) =>
    host.devicesIn(context).some(({ platform }) => platform.device === name);
  return host.contexts().find(holds)?.name;
}

/** Of devices whose apertures are known too, the prediction is the answer, not just no contradiction. */
async function assertPredictionIsExact(host: Host, known: ReadonlySet<string>) {
  for (const ioas of host.contexts().flatMap((context) => [...context.ioases.values()])) {
    if (![...ioas.devices].every((name) => known.has(name))) continue;
    const answer = await host.allowed(ioas);
    assert(host.predict(ioas.devices).ranges.equals(answer.ranges), "the prediction is not the answer");
  }
}

describe("random sequences of operations", () => {
  it("leave the model equal to the kernel, with nothing open that it does not show", {
    timeout: 120_000,
  }, async () => {
    const sequence = fc.record({
      topology,
      probeFirst: fc.boolean(),
      steps: fc.array(operation, { maxLength: 14 }),
    });
    await fc.assert(
      fc.asyncProperty(sequence, async ({ topology, probeFirst, steps }) => {
        const machine = new SimulatedKernel(parseTopology(topology));
        const host = new Host(machine);
        const known = new Set<string>();
        if (probeFirst) {
          for (const name of DEVICES) {
            const probed = await host.probe(name).catch(() => undefined);
            if (probed) known.add(name);
          }
        }
        host.createContext("guest", "persistent");
        for (const name of CONTEXTS) for (let i = 0; i < 2; i++) host.createIoas(name);
        for (const name of DEVICES) await host.hold(name, "guest").catch(() => undefined);
        for (const step of steps) {
          await perform(host, step).catch((error) => assert(error instanceof HostError, error));
          await assertModelEqualsKernel({ host, machine });
          await assertPredictionIsExact(host, known);
        }
        await host.close();
        assert.deepEqual(machine.openFds(), []);
      }),
      { numRuns: 10_000 },
    );
  });
});
