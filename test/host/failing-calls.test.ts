import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { HostError } from "../../src/host/errors.ts";
import type { ErrnoName } from "../../src/uapi/errno.ts";
import { assertModelEqualsKernel, DISK, GPU, NIC, Simulation, setOf } from "./simulation.ts";
import { failNth } from "./tampered-kernel.ts";

/** Each device has a region of its own, by which an IOAS's answer tells who is attached. */
const REGIONS = new Map(
  [NIC, DISK, GPU].map((device, index) => [
    device,
    { start: `0x${index}0000`, last: `0x${index}ffff`, type: "reserved" },
  ]),
);
const regionsOf = (device: string) => [REGIONS.get(device) ?? []].flat();
const excludedBy = (device: string) => setOf(...regionsOf(device));

const ERRNOS: readonly ErrnoName[] = [
  "EINVAL",
  "ENOENT",
  "ENOMEM",
  "EBUSY",
  "EPERM",
  "ENODEV",
  "EADDRINUSE",
  "EMSGSIZE",
  "EIO",
];

/** The NIC and its sibling, a disk, are attached to IOAS 1 of "guest"; 2 is empty; the GPU is free. */
async function begin(): Promise<Simulation> {
  const simulation = new Simulation({
    devices: [
      { device: NIC, group: 1, regions: regionsOf(NIC) },
      { device: DISK, group: 1, regions: regionsOf(DISK) },
      { device: GPU, group: 2, regions: regionsOf(GPU) },
    ],
  });
  const { host } = simulation;
  host.createContext("guest", "persistent");
  for (let i = 0; i < 2; i++) host.createIoas("guest");
  for (const device of [NIC, DISK]) {
    await host.hold(device, "guest");
    await host.attach(device, 1);
  }
  for (const ioas of [1, 2]) await simulation.allowed("guest", ioas);
  return simulation;
}

interface Operation {
  readonly name: string;
  readonly before?: (simulation: Simulation) => unknown;
  readonly call: (simulation: Simulation) => unknown;
  /** Works afterwards, whether the failed call has had its effect or not. */
  readonly next: (simulation: Simulation) => unknown;
}

const holdGpu = ({ host }: Simulation) => host.hold(GPU, "guest");

/** That the kernel cannot ask for the device back does not keep it from being held. */
async function holdGpuAgain(simulation: Simulation): Promise<void> {
  if ((await simulation.host.device(GPU)).state === "held") await simulation.host.release(GPU);
  await holdGpu(simulation);
}

const OPERATIONS: readonly Operation[] = [
  { name: "hold", call: holdGpu, next: holdGpuAgain },
  {
    name: "hold, as the first in its context",
    call: ({ host }) => host.hold(GPU, "default"),
    next: holdGpuAgain,
  },
  {
    name: "attach to an empty IOAS",
    before: holdGpu,
    call: ({ host }) => host.attach(GPU, 2),
    next: ({ host }) => host.attach(GPU, 2),
  },
  {
    name: "attach beside others",
    before: holdGpu,
    call: ({ host }) => host.attach(GPU, 1),
    next: ({ host }) => host.attach(GPU, 1),
  },
  {
    name: "replace, of a whole group",
    call: ({ host }) => host.attach(NIC, 2),
    next: ({ host }) => host.attach(DISK, 2),
  },
  {
    name: "detach",
    call: ({ host }) => host.detach(NIC),
    next: ({ host }) => host.detach(NIC),
  },
  {
    name: "release",
    call: ({ host }) => host.release(NIC),
    next: ({ host }) => host.hold(NIC, "guest"),
  },
  {
    name: "probe",
    call: ({ host }) => host.probe(GPU),
    next: ({ host }) => host.probe(GPU),
  },
  {
    name: "create an IOAS, as the first in its context",
    call: ({ host }) => host.createIoas("default"),
    next: ({ host }) => host.createIoas("default"),
  },
  {
    name: "destroy an IOAS",
    call: ({ host }) => host.destroyIoas("guest", 2),
    next: ({ host }) => host.destroyIoas("guest", 2),
  },
  {
    name: "allow ranges",
    call: ({ host }) => host.allowRanges("guest", 1, excludedBy(GPU)),
    next: ({ host }) => host.allowRanges("guest", 1, excludedBy(GPU)),
  },
  {
    name: "allow ranges that are taken",
    call: ({ host }) => host.allowRanges("guest", 1, excludedBy(NIC)).catch(ignoreRefusal),
    next: ({ host }) => host.allowRanges("guest", 1, excludedBy(GPU)),
  },
  {
    name: "create a context",
    call: ({ host }) => host.createContext("other", "persistent"),
    next: ({ host }) => host.createContext("other", "persistent"),
  },
  {
    name: "destroy a context",
    call: ({ host }) => host.destroyContext("guest"),
    next: ({ host }) => host.hold(NIC, "default"),
  },
  {
    name: "query",
    before: ({ host }) => host.detach(NIC),
    call: (simulation) => simulation.allowed("guest", 1),
    next: (simulation) => simulation.allowed("guest", 1),
  },
  {
    name: "the end of the host",
    call: ({ host }) => host.close(),
    next: ({ machine }) => assert.deepEqual(machine.openFds(), []),
  },
];

function ignoreRefusal(error: unknown): void {
  assert(error instanceof HostError, String(error));
}

/** How many calls of the kernel an operation makes. */
async function countCalls({ before, call }: Operation): Promise<number> {
  const simulation = await begin();
  await before?.(simulation);
  const earlier = simulation.kernel.calls.length;
  await call(simulation);
  return simulation.kernel.calls.length - earlier;
}

describe("whichever call of the kernel fails, and with whatever errno, during", () => {
  it.each(OPERATIONS)(
    "$name: the model equals the kernel, nothing leaks, and the next call works",
    async (operation) => {
      const calls = await countCalls(operation);
      assert(calls > 0);
      for (let nth = 0; nth < calls; nth++) {
        for (const errno of ERRNOS) {
          const simulation = await begin();
          await operation.before?.(simulation);
          const hasFailed = failNth(simulation.kernel, nth, errno);
          const earlier = simulation.kernel.calls.length;
          await Promise.resolve(simulation).then(operation.call).catch(ignoreRefusal);
          assert(hasFailed(), `call ${nth} was not made`);
          const context = `${errno} from ${simulation.kernel.calls[earlier + nth]}`;
          try {
            await assertModelEqualsKernel(simulation, excludedBy);
            await operation.next(simulation);
            await assertModelEqualsKernel(simulation, excludedBy);
            await simulation.host.close();
            assert.deepEqual(simulation.openPaths(), []);
          } catch (error) {
            throw new Error(context, { cause: error });
          }
        }
      }
    },
  );
});
