import assert from "node:assert/strict";
import { describe, it } from "vitest";
import { fold } from "../../src/client/fold.ts";
import type { Change } from "../../src/host/changes.ts";
import { HostError } from "../../src/host/errors.ts";
import { SystemCallError } from "../../src/kernel/kernel.ts";
import { toWireEvent } from "../../src/rpc/events.ts";
import { toWireSnapshot, type WireSnapshot } from "../../src/rpc/records.ts";
import type { ErrnoName } from "../../src/uapi/errno.ts";
import { fewOf } from "../runs.ts";
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

/** How a file cannot be read that is there: with which errno, and whether from then on. */
const UNREADABLE = (["ENFILE", "EIO"] as const).flatMap((errno) =>
  [false, true].map((isLasting) => ({ errno, isLasting })),
);

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
    name: "the removal of a driver",
    call: async ({ host, machine }) => {
      await machine.setDriver(NIC, null);
      await host.context("guest").settled();
    },
    next: async ({ host, machine }) => {
      await machine.setDriver(NIC, "vfio-pci");
      await host.hold(NIC, "guest");
    },
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
    name: "query of what a device reserves",
    call: ({ host }) => host.reserved(GPU),
    next: ({ host }) => host.reserved(GPU),
  },
  {
    name: "query of what devices reserve together",
    call: async ({ host }) => host.reservedOf(await host.findAll([GPU, NIC])),
    next: ({ host }) => host.predict([GPU, NIC]),
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

/** As {@link begin}, and nothing that was read is kept. */
async function beginAnew({ before }: Operation): Promise<Simulation> {
  const simulation = await begin();
  await before?.(simulation);
  simulation.kernel.tell({ action: "lost", device: "" });
  return simulation;
}

/** How many calls of the kernel an operation makes, and how many files it reads. */
async function count(operation: Operation): Promise<{ calls: number; reads: number }> {
  const simulation = await beginAnew(operation);
  const { calls, reads } = simulation.kernel;
  const earlier = { calls: calls.length, reads: reads.length };
  await operation.call(simulation);
  return { calls: calls.length - earlier.calls, reads: reads.length - earlier.reads };
}

function attachedIn({ devices }: WireSnapshot): string[] {
  return devices.filter(({ state }) => state === "attached").map(({ device }) => device);
}

/** Those that listeners take for attached, if the devices of `before` were. */
function attachedBy(events: readonly Change[], before: readonly string[]): string[] {
  const attached = new Set(before);
  for (const change of events) {
    if (change.event === "DEVICE_ATTACHED") attached.add(change.device);
    if (change.event === "DEVICE_DETACHED") attached.delete(change.device);
  }
  return [...attached].sort();
}

/** From now on, the descriptors that are closed and are none: by then they may be somebody else's. */
function strayCloses({ machine }: Simulation): number[] {
  const strays: number[] = [];
  const close = machine.close.bind(machine);
  machine.close = (fd) => {
    if (!machine.openFds().some((open) => open.fd === fd)) strays.push(fd);
    return close(fd);
  };
  return strays;
}

/** Plays the operation while what `fail` says fails; that returns whether it has come to it. */
async function play(operation: Operation, fail: (simulation: Simulation) => () => boolean): Promise<void> {
  const simulation = await beginAnew(operation);
  const { changes, host, kernel } = simulation;
  const strays = strayCloses(simulation);
  const before = toWireSnapshot(host.snapshot());
  const earlier = changes.length;
  const hasFailed = fail(simulation);
  await Promise.resolve(simulation).then(operation.call).catch(ignoreRefusal);
  assert(hasFailed(), "the call was not made");
  kernel.beforeRead = () => {};
  await assertModelEqualsKernel(simulation, excludedBy);
  const told = changes.slice(earlier);
  const events = told.flatMap((change) => {
    const params = toWireEvent(change);
    return params ? [{ method: change.event, params }] : [];
  });
  const after = toWireSnapshot(host.snapshot());
  assert.deepEqual(events.reduce(fold, before), after);
  assert.deepEqual(attachedBy(told, attachedIn(before)), attachedIn(after));
  assert.deepEqual(strays, []);
  await operation.next(simulation);
  await assertModelEqualsKernel(simulation, excludedBy);
  await host.close();
  assert.deepEqual(simulation.openPaths(), []);
}

describe("whichever call of the kernel fails, and with whatever errno, during", () => {
  it.each(OPERATIONS)(
    "$name: the model equals the kernel and what was told, nothing leaks, and the next call works",
    async (operation) => {
      const { calls, reads } = await count(operation);
      assert(calls + reads > 0);
      for (const nth of fewOf([...Array(calls).keys()], 6)) {
        for (const errno of fewOf(ERRNOS, 1)) {
          let made: readonly string[] = [];
          let earlier = 0;
          const fail = ({ kernel }: Simulation) => {
            made = kernel.calls;
            earlier = made.length;
            return failNth(kernel, nth, errno);
          };
          await play(operation, fail).catch((cause) => {
            throw new Error(`${errno} from ${made[earlier + nth]}`, { cause });
          });
        }
      }
    },
  );
});

describe("whichever file of the kernel cannot be read, once or from then on, during", () => {
  it.each(OPERATIONS)(
    "$name: the model equals the kernel and what was told, nothing leaks, and the next call works",
    async (operation) => {
      const { reads } = await count(operation);
      for (const nth of fewOf([...Array(reads).keys()], 6)) {
        for (const { errno, isLasting } of fewOf(UNREADABLE, 1)) {
          let path = "";
          const fail = ({ kernel }: Simulation) => {
            let left = nth;
            kernel.beforeRead = (read) => {
              if (left-- > 0 || (path !== "" && !isLasting)) return;
              path ||= read;
              throw new SystemCallError(errno, "read");
            };
            return () => path !== "";
          };
          await play(operation, fail).catch((cause) => {
            throw new Error(`${errno} from ${path}${isLasting ? " on" : ""}`, { cause });
          });
        }
      }
    },
  );
});
