import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { HostError } from "../../src/host/errors.ts";
import { Host } from "../../src/host/host.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { runs } from "../runs.ts";
import { assertPredictionIsExact, CONTEXTS, operationOn, perform, range } from "./operations.ts";
import { assertModelEqualsKernel } from "./simulation.ts";

const DEVICES = ["0000:00:01.0", "0000:00:02.0", "0000:00:03.0", "0000:00:04.0"];

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

describe("random sequences of operations", () => {
  it("leave the model equal to the kernel, with nothing open that it does not show", {
    timeout: 600_000,
  }, async () => {
    const sequence = fc.record({
      topology,
      probeFirst: fc.boolean(),
      steps: fc.array(operationOn(DEVICES), { maxLength: 10 }),
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
      { numRuns: runs(50, 1_500) },
    );
  });
});
