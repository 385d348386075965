import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fold } from "../../src/client/fold.ts";
import type { Send } from "../../src/host/devices/handovers.ts";
import { HostError } from "../../src/host/errors.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { toWireEvent } from "../../src/rpc/events.ts";
import { toWireSnapshot, type WireSnapshot } from "../../src/rpc/records.ts";
import { VFIO_DEVICE_BIND_IOMMUFD, vfio_device_bind_iommufd } from "../../src/uapi/vfio.ts";
import { perform as ask, operationOn } from "../host/operations.ts";
import { AUDIO, DISK, GPU, NIC, Simulation } from "../host/simulation.ts";
import { runs } from "../runs.ts";

const DEVICES = [NIC, DISK, GPU, AUDIO];
const PLUGGED = "0000:00:09.0";
const DIRECT = { start: "0x5000", last: "0x5fff", type: "direct" };

const LONG = { timeout: 600_000 };

const device = fc.constantFrom(...DEVICES, PLUGGED);
/** What happens to a host, by clients or by itself. */
const step = fc.oneof(
  { weight: 6, arbitrary: operationOn([...DEVICES, PLUGGED]) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("bind" as const),
      device,
      driver: fc.constantFrom("vfio-pci", "vfio-pci", "nvme", null),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("plug" as const),
      group: fc.integer({ min: 1, max: 6 }),
      driver: fc.constantFrom("vfio-pci", "vfio-pci", null),
      regions: fc.constantFrom([], [], [DIRECT]),
      /** At once, before the daemon has looked at what has come. */
      isTaken: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("unplug" as const), device }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("hand-over" as const), device }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("hand-over-context" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("end-lease" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("use" as const), device }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("look" as const) }) },
);
/** Kinds of steps after which there is something to find: nobody tells the daemon, or its events come later. */
const UNSEEN: ReadonlySet<string> = new Set(["bind", "plug", "unplug", "use", "hand-over"]);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

async function perform(simulation: Listened, step: Step): Promise<unknown> {
  const { host, machine } = simulation;
  switch (step.kind) {
    case "bind":
      await simulation.endGuest(step.device);
      return machine.setDriver(step.device, step.driver);
    case "plug": {
      const { group, driver, regions, isTaken } = step;
      const entry = { device: PLUGGED, iommu: "iommu0", group, driver, regions };
      const [parsed] = parseTopology({ iommus: [{ name: "iommu0" }], devices: [entry] }).devices;
      if (parsed && !machine.exists(`/sys/bus/pci/devices/${PLUGGED}`)) machine.addDevice(parsed);
      return isTaken ? host.hold(PLUGGED, "default", 1000) : undefined;
    }
    case "unplug":
      await simulation.endGuest(step.device);
      return machine.removeDevice(step.device);
    case "hand-over":
      return simulation.handOver(step.device);
    case "hand-over-context":
      return host.handOverContext("guest", drop);
    case "end-lease":
      return host.endLease(host.context("guest"));
    case "use":
      return simulation.use(step.device);
    case "look":
      return host.look();
    default:
      return ask(host, step);
  }
}

/** A client that reads its answer and takes nothing of what comes with it. */
const drop: Send = ({ close }) => {
  close();
  return { isUnderWay: false };
};

/** A host, and what a client that only listens believes of it. */
class Listened extends Simulation {
  readonly first: WireSnapshot;
  readonly #guests = new Map<string, readonly number[]>();

  constructor(groups: readonly number[]) {
    super({
      devices: DEVICES.map((device, index) => ({
        device,
        group: groups[index] ?? 0,
        "isolated-msi": device !== GPU,
        regions: device === AUDIO ? [DIRECT] : [],
      })),
    });
    Object.defineProperty(this.kernel, "backend", { value: "linux" });
    // Guests are of the machine, not of Linux.
    this.kernel.passable = (fd) => fd;
    this.first = this.snapshot();
  }

  /** A guest is given the device, and binds it. */
  async handOver(device: string): Promise<void> {
    let fds: readonly number[] = [];
    const take: Send = (parcel) => {
      fds = parcel.fds.map((fd) => this.machine.duplicate(fd));
      // Beside what another process has open of it, in vain.
      this.#guests.set(device, [...(this.#guests.get(device) ?? []), ...fds]);
      return drop(parcel);
    };
    await this.host.handOverDevice(device, "guest", take, 1000);
    const [iommufd, cdev] = fds as [number, number];
    await this.#bind(cdev, iommufd);
  }

  /** Another process binds the device, or lets it go when it has it. */
  async use(device: string): Promise<void> {
    if (this.#guests.has(device)) return this.endGuest(device);
    const [vfio] = this.machine.readDirectory(`/sys/bus/pci/devices/${device}/vfio-dev`);
    const cdev = this.machine.open(`/dev/vfio/devices/${vfio}`);
    const iommufd = this.machine.open("/dev/iommu");
    this.#guests.set(device, [cdev, iommufd]);
    await this.#bind(cdev, iommufd);
  }

  /** Until then, the device cannot leave its driver. */
  async endGuest(device: string): Promise<void> {
    const fds = this.#guests.get(device) ?? [];
    this.#guests.delete(device);
    await Promise.all(fds.map((fd) => this.machine.close(fd)));
  }

  async #bind(cdev: number, iommufd: number): Promise<void> {
    const argument = vfio_device_bind_iommufd.encode({ iommufd });
    await this.machine.slowIoctl(cdev, VFIO_DEVICE_BIND_IOMMUFD, argument);
  }

  /** Lets the host see what there is to be seen, and do what follows from it. */
  async settle(): Promise<void> {
    for (let before: unknown; before !== this.changes.length; ) {
      before = this.changes.length;
      for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
      await this.host.look();
      this.check();
    }
  }

  async endGuests(): Promise<void> {
    for (const device of [...this.#guests.keys()]) await this.endGuest(device);
  }

  async close(): Promise<void> {
    await this.endGuests();
    await this.host.close();
  }

  snapshot(): WireSnapshot {
    return toWireSnapshot(this.host.snapshot());
  }

  believed(): WireSnapshot {
    const events = this.changes.flatMap((change) => {
      const params = toWireEvent(change);
      return params ? [{ method: change.event, params }] : [];
    });
    return events.reduce(fold, this.first);
  }

  check(): void {
    assert.deepEqual(this.believed(), this.snapshot());
  }
}

function expected(error: unknown): void {
  // What the machine refuses of what the world does to it is no news.
  if (!(error instanceof HostError)) assert.match(String(error), /SystemCallError/);
}

/** The 1:1 region is in the last group, where it blocks nobody else. */
const groups = fc.tuple(...[3, 3, 3].map((max) => fc.integer({ min: 1, max })), fc.constant(4));

/** A host in the middle of its life: what few random steps come to, of holding and attaching above all. */
async function begin(groups: readonly number[]): Promise<Listened> {
  const listened = new Listened(groups);
  const { host } = listened;
  host.createContext("guest", "connection");
  for (const context of ["default", "guest"]) for (let i = 0; i < 2; i++) host.createIoas(context);
  // Not where they share the group of one whose interrupts are not isolated.
  for (const device of [NIC, DISK]) await host.hold(device, "guest").catch(expected);
  await host.attach(NIC, 1).catch(expected);
  return listened;
}

describe("the first snapshot, with every event since folded in,", () => {
  it("is the next one, member for member, after every step", LONG, async () => {
    await fc.assert(
      fc.asyncProperty(groups, fc.array(step, { maxLength: 25 }), async (groups, steps) => {
        const listened = await begin(groups);
        for (const each of steps) {
          await perform(listened, each).catch(expected);
          listened.check();
          const told = listened.snapshot();
          await listened.settle();
          // What the daemon does itself it need not look for.
          if (!UNSEEN.has(each.kind)) assert.deepEqual(told, listened.snapshot());
        }
        await listened.close();
        listened.check();
      }),
      { numRuns: runs(30, 1_000) },
    );
  });

  it("is the next one at any moment, whatever is under way", LONG, async () => {
    await fc.assert(
      fc.asyncProperty(
        groups,
        fc.array(step, { minLength: 2, maxLength: 12 }),
        fc.scheduler(),
        async (groups, steps, scheduler) => {
          const listened = await begin(groups);
          const { kernel } = listened;
          kernel.queued = (call) => scheduler.schedule(Promise.resolve(), `${call} begins`);
          kernel.made = (call) => scheduler.schedule(Promise.resolve(), `${call} is told`);
          const requests = steps.map(async (each) => {
            await scheduler.schedule(Promise.resolve(), `${each.kind} is asked for`);
            await perform(listened, each).catch(expected);
          });
          const all = Promise.all(requests).then(() => listened.close());
          let isDone = false;
          const done = () => {
            isDone = true;
          };
          all.then(done, done);
          while (!isDone) {
            if (scheduler.count() > 0) await scheduler.waitOne();
            else {
              // For their devices somebody may be waiting.
              await listened.endGuests();
              await new Promise(setImmediate);
            }
            // Between any two microtasks.
            for (let i = 0; i < 20; i++) {
              listened.check();
              await undefined;
            }
          }
          await all;
        },
      ),
      { numRuns: runs(6, 300) },
    );
  });
});

describe("fold", () => {
  it("leaves a state as it is for what it does not know", () => {
    const state: WireSnapshot = { devices: [], contexts: [], ioas: [] };
    expect(fold(state, { method: "EVENTS_LOST", params: { count: 1 } })).toBe(state);
  });
});
