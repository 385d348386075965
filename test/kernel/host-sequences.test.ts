import assert from "node:assert/strict";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { HostError } from "../../src/host/errors.ts";
import { Host } from "../../src/host/host.ts";
import type { Kernel } from "../../src/kernel/kernel.ts";
import { DEVICES, kernelUnderTest, SIBLINGS } from "../conformance/kernel-under-test.ts";
import { assertPredictionIsExact, CONTEXTS, operationOn, perform } from "../host/operations.ts";
import { openDevices } from "./guest.ts";
import { readRanges } from "./raw-ranges.ts";
import { randomRun } from "./seed.ts";

const SECOND = 1000;
const SEQUENCES = 20;
const ALL_DEVICES = [...DEVICES, ...SIBLINGS];
/** More objects than a sequence makes in one context. */
const LAST_ID = 10;
const ROOM = 8;

/** Asserts that what the host shows is what the kernel has, by other ways than the host's own. */
async function assertModelIsTheKernel(host: Host): Promise<void> {
  const shown: string[] = [];
  for (const context of host.contexts().filter(({ isOpen }) => isOpen)) {
    const { fd } = context.open();
    shown.push("/dev/iommu", ...host.devicesIn(context).map(({ platform }) => cdev(platform.vfioDevice)));
    for (let id = 1; id <= LAST_ID; id++) {
      const { code, ranges, alignment } = await readRanges(host.kernel, fd, id, ROOM);
      const ioas = context.ioases.get(id);
      assert.equal(code, ioas ? "OK" : "ENOENT", `the IOAS ${id} of ${context.name}`);
      if (!ioas) continue;
      const answer = await host.allowed(ioas);
      assert.deepEqual([...answer.ranges], ranges);
      assert.equal(answer.alignment, alignment);
    }
  }
  assert.deepEqual(openDevices(process.pid), shown.sort());
  assert.equal(host.mismatches, 0);
}

const cdev = (vfioDevice: string | null) => `/dev/vfio/devices/${vfioDevice}`;

const { kernel } = await kernelUnderTest();
afterAll(() => kernel.shutdown());
/** The kernel, but a host that closes does not stop its threads: starting them takes seconds here. */
const staying = new Proxy(kernel, {
  get(target, name) {
    if (name === "shutdown") return async () => {};
    const member = target[name as keyof Kernel];
    return typeof member === "function" ? member.bind(target) : member;
  },
});

it("after any operation of a host on Linux, its model is what the kernel says", {
  timeout: 400 * SECOND,
}, async () => {
  let performed = 0;
  let refused = 0;
  const sequence = fc.record({
    probeFirst: fc.boolean(),
    steps: fc.array(operationOn(ALL_DEVICES), { maxLength: 24, size: "max" }),
  });
  const details = await fc.check(
    fc.asyncProperty(sequence, async ({ probeFirst, steps }) => {
      const host = new Host(staying);
      try {
        const known = new Set<string>(probeFirst ? ALL_DEVICES : []);
        for (const device of known) await host.probe(device);
        host.createContext("guest", "persistent");
        for (const name of CONTEXTS) for (let i = 0; i < 2; i++) host.createIoas(name);
        for (const device of ALL_DEVICES) await host.hold(device, "guest");
        for (const step of steps) {
          performed++;
          await perform(host, step).catch((error) => {
            assert(error instanceof HostError, error);
            refused++;
          });
          await assertModelIsTheKernel(host);
          await assertPredictionIsExact(host, known);
        }
      } finally {
        await host.close();
      }
      assert.deepEqual(openDevices(process.pid), []);
    }),
    { ...randomRun("host sequences", 300 * SECOND), numRuns: SEQUENCES },
  );
  console.log(
    `host sequences: ${details.numRuns} sequences, ${performed} operations, ${refused} of them refused`,
  );
  if (details.counterexample) {
    expect.fail(`${fc.stringify(details.counterexample)}\n${details.errorInstance}`);
  }
  expect(details.interrupted).toBe(false);
});
