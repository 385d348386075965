import { afterAll, expect, it } from "vitest";
import type { HostError } from "../../src/host/errors.ts";
import { Host } from "../../src/host/host.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { MSI_LAST, MSI_START, PAGE } from "../conformance/session.ts";
import { FaultyKernel } from "./faulty-kernel.ts";
import { openDevices } from "./guest.ts";
import { readRanges } from "./raw-ranges.ts";

const DEVICE = "0000:00:05.0";
const OTHER = "0000:00:06.0";
const CONTEXT = "faults";

const kernel = new FaultyKernel();
const host = new Host(kernel);

afterAll(() => host.close());

interface Operation {
  readonly name: string;
  /** What has to be there; the context is. */
  readonly prepare: () => unknown;
  readonly run: () => unknown;
}

const MSI = RangeSet.from([{ start: MSI_START, last: MSI_LAST }]);
const RANGES = RangeSet.from([
  { start: 0x1000n, last: 0x1fffn },
  { start: 0x10000n, last: 0x1ffffn },
]);
const hold = (device = DEVICE) => host.hold(device, CONTEXT);
const newIoas = () => host.createIoas(CONTEXT);
const attach = (ioas: number, device = DEVICE) => host.attach(device, ioas);

async function attached() {
  newIoas();
  newIoas();
  await hold();
  await attach(1);
}

const OPERATIONS: Operation[] = [
  { name: "create-ioas", prepare: () => undefined, run: newIoas },
  { name: "destroy-ioas", prepare: newIoas, run: () => host.destroyIoas(CONTEXT, 1) },
  { name: "allow-ranges", prepare: newIoas, run: () => host.allowRanges(CONTEXT, 1, RANGES) },
  { name: "hold-device", prepare: () => undefined, run: () => hold() },
  {
    name: "attach-device",
    prepare: async () => {
      newIoas();
      await hold();
    },
    run: () => attach(1),
  },
  {
    name: "attach-device of a second one",
    prepare: async () => {
      await attached();
      await hold(OTHER);
    },
    run: () => attach(1, OTHER),
  },
  { name: "attach-device that replaces", prepare: attached, run: () => attach(2) },
  { name: "query-allowed-ranges", prepare: attached, run: () => host.allowed(host.ioas(CONTEXT, 1)) },
  { name: "detach-device", prepare: attached, run: () => host.detach(DEVICE) },
  { name: "release-device", prepare: attached, run: () => host.release(DEVICE) },
  { name: "probe-device", prepare: () => undefined, run: () => host.probe(DEVICE) },
];

/** The model's descriptors, attachments and answers are the kernel's. */
async function expectModelToBeTheKernel(): Promise<void> {
  const context = host.context(CONTEXT);
  const held = host.devicesIn(context);
  const nodes = held.map(({ platform }) => `/dev/vfio/devices/${platform.vfioDevice}`);
  expect(openDevices(process.pid)).toEqual(["/dev/iommu", ...nodes].sort());
  for (const ioas of context.ioases.values()) {
    const answer = await host.allowed(ioas);
    const raw = await readRanges(kernel, context.open().fd, ioas.id, 8);
    expect([...answer.ranges]).toEqual(raw.ranges);
    expect(answer.alignment).toBe(raw.alignment);
    // Only what a device is attached with has the IOMMU's alignment.
    const devices = held.filter((each) => each.ioas === ioas).map(({ platform }) => platform.device);
    expect([...ioas.devices].sort()).toEqual(devices.sort());
    expect(raw.alignment).toBe(devices.length > 0 ? PAGE : 1n);
  }
  // A driver that finds no memory lists no regions; what the daemon knows of the device must not become less by that.
  const { reserved } = await host.reserved(DEVICE);
  expect([...reserved.excluded.intersect(MSI)]).toEqual([...MSI]);
}

/** Everything that the model knows of is given back; an object that it does not know of would keep an id. */
async function expectNothingIsLeft(): Promise<void> {
  const context = host.context(CONTEXT);
  for (const { platform } of host.devicesIn(context)) await host.release(platform.device);
  for (const id of [...context.ioases.keys()]) host.destroyIoas(CONTEXT, id);
  expect(newIoas().id).toBe(1);
  host.destroyIoas(CONTEXT, 1);
}

async function attempt(run: () => unknown): Promise<HostError | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    return error as HostError;
  }
}

it.each(OPERATIONS)(
  "each allocation that fails inside $name",
  { timeout: 120_000 },
  async ({ name, prepare, run }) => {
    let n = 0;
    let failed: boolean;
    do {
      n++;
      host.createContext(CONTEXT, "persistent");
      try {
        await prepare();
        kernel.failNth(n);
        const error = await attempt(run);
        failed = kernel.hasFailed();
        if (error) {
          expect.soft(error, error.message).toMatchObject({ errorClass: "KernelError" });
          expect(failed, error.message).toBe(true);
        }
        await expectModelToBeTheKernel();
        if (error) await run();
        await expectModelToBeTheKernel();
        await expectNothingIsLeft();
      } finally {
        kernel.hasFailed();
        await host.destroyContext(CONTEXT);
      }
    } while (failed);
    if (name !== "destroy-ioas") expect(n).toBeGreaterThan(1);
  },
);
