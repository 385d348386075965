import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HostError } from "../../src/host/errors.ts";
import { SystemCallError } from "../../src/kernel/kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { runs } from "../runs.ts";
import { assertModelEqualsKernel, DISK, GPU, MSI, NIC, refusal, Simulation, setOf } from "./simulation.ts";

/** Three devices; the NIC and the disk share a group. */
const TOPOLOGY = {
  devices: [
    { device: NIC, group: 1, regions: [MSI] },
    { device: DISK, group: 1, regions: [MSI] },
    { device: GPU, group: 2, regions: [MSI] },
  ],
};

/** Resolves when a change of that name, about that device, is told; `earlier` are skipped. */
async function told({ changes }: Simulation, event: string, device: string, earlier = 0): Promise<void> {
  while (
    !changes.slice(earlier).some((each) => each.event === event && "device" in each && each.device === device)
  ) {
    await new Promise<void>((resolve) => {
      setImmediate(resolve);
    });
  }
}

function added(device: string, group: number) {
  const [entry] = parseTopology({
    iommus: [{ name: "iommu0" }],
    devices: [{ device, group, iommu: "iommu0", driver: "vfio-pci" }],
  }).devices;
  if (!entry) throw new Error("no device");
  return entry;
}

describe("a held device whose driver is unbound", () => {
  it("is given back, and the unbind ends", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, machine } = simulation;
    const { id } = host.createIoas("default");
    await host.hold(GPU, "default");
    await host.attach(GPU, id);
    const before = simulation.events().length;
    await machine.setDriver(GPU, null);
    await told(simulation, "DEVICE_RELEASED", GPU);
    await host.allowed(host.ioas("default", id));
    expect(simulation.events().slice(before)).toEqual([
      `DEVICE_DETACHED ${GPU} 1`,
      `DEVICE_RELEASED ${GPU}`,
      "ALLOWED_RANGES_CHANGED default 1",
    ]);
    expect(host.heldCount).toBe(0);
    await assertModelEqualsKernel(simulation);
    expect((await refusal(() => host.hold(GPU, "default"))).errorClass).toBe("DeviceNotReady");
    await machine.setDriver(GPU, "vfio-pci");
    await host.hold(GPU, "default");
    await assertModelEqualsKernel(simulation);
  });

  it("is not known any more by what the kernel told of it", async () => {
    const { host, machine } = new Simulation(TOPOLOGY);
    await host.probe(GPU);
    await host.hold(GPU, "default");
    expect((await host.reserved(GPU)).reserved.source).toBe("probe");
    await machine.setDriver(GPU, "vfio-pci");
    expect((await host.reserved(GPU)).reserved).toMatchObject({ source: "sysfs", apertureSource: "unknown" });
  });

  it.each(["hold", "attach", "detach"] as const)(
    "is given back after a slow %s that is under way",
    async (what) => {
      const simulation = new Simulation(TOPOLOGY);
      const { host, kernel, machine } = simulation;
      const { id } = host.createIoas("default");
      if (what !== "hold") await host.hold(GPU, "default");
      if (what === "detach") await host.attach(GPU, id);
      let finish = () => {};
      kernel.queued = (call) =>
        ["BIND", "ATTACH", "DETACH"].includes(call)
          ? new Promise((resolve) => {
              finish = resolve;
            })
          : Promise.resolve();
      const begun = kernel.when({ hold: "BIND", attach: "ATTACH", detach: "DETACH" }[what]);
      const underWay =
        what === "hold"
          ? host.hold(GPU, "default")
          : what === "attach"
            ? host.attach(GPU, id)
            : host.detach(GPU);
      await begun;
      const unbind = machine.setDriver(GPU, null);
      // What was heard of the request has had its turn by then.
      for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate);
      expect(simulation.events()).not.toContain(`DEVICE_RELEASED ${GPU}`);
      finish();
      await Promise.all([underWay, unbind]);
      await told(simulation, "DEVICE_RELEASED", GPU);
      await assertModelEqualsKernel(simulation);
      expect(simulation.openPaths()).toEqual(["/dev/iommu"]);
    },
  );

  it("is given back also when its interrupt could not be set, for it leaves sysfs", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, kernel, machine } = simulation;
    kernel.before = (call) => {
      if (call === "eventfd") throw new SystemCallError("EMFILE", "eventfd2");
    };
    await host.hold(GPU, "default");
    expect(simulation.openPaths()).toEqual(["/dev/iommu", "/dev/vfio/devices/vfio2"]);
    await machine.setDriver(GPU, null);
    await told(simulation, "DEVICE_RELEASED", GPU);
  });

  it("is given back at the next query, where the kernel tells nothing at all", async () => {
    const simulation = new Simulation(TOPOLOGY, {}, { isDeaf: true });
    const { host, kernel, machine } = simulation;
    kernel.before = (call) => {
      if (call === "eventfd") throw new SystemCallError("EMFILE", "eventfd2");
    };
    await host.hold(GPU, "default");
    const unbind = machine.setDriver(GPU, null);
    await host.devices();
    await unbind;
  });

  it("is given back by the end of its context, when that has begun", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, machine } = simulation;
    host.createContext("guest", "persistent");
    for (const device of [NIC, DISK, GPU]) await host.hold(device, "guest");
    const end = host.destroyContext("guest");
    await Promise.all([end, ...[NIC, DISK, GPU].map((device) => machine.setDriver(device, null))]);
    expect(simulation.openPaths()).toEqual([]);
    await assertModelEqualsKernel(simulation);
  });

  it("can be destroyed with its context while it is being given back", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, kernel, machine } = simulation;
    host.createContext("guest", "persistent");
    for (const device of [NIC, DISK, GPU]) await host.hold(device, "guest");
    const closing = kernel.when("close");
    const unbind = machine.setDriver(GPU, null);
    await closing;
    await Promise.all([unbind, host.destroyContext("guest")]);
    expect(simulation.openPaths()).toEqual([]);
    await assertModelEqualsKernel(simulation);
  });

  it("keeps no eventfd open, however often it happens", async () => {
    const simulation = new Simulation(TOPOLOGY);
    for (let round = 0; round < 20; round++) {
      await Promise.all([GPU, NIC].map((device) => simulation.host.hold(device, "default")));
      await Promise.all([GPU, NIC].map((device) => simulation.machine.setDriver(device, "vfio-pci")));
      for (const device of [GPU, NIC]) await told(simulation, "DEVICE_RELEASED", device);
      simulation.changes.length = 0;
    }
    expect(simulation.openPaths()).toEqual(["/dev/iommu"]);
    await simulation.host.close();
    expect(simulation.openPaths()).toEqual([]);
  });

  it("leaves its sibling as it is", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, machine } = simulation;
    const { id } = host.createIoas("default");
    for (const device of [NIC, DISK]) {
      await host.hold(device, "default");
      await host.attach(device, id);
    }
    await machine.setDriver(NIC, null);
    await told(simulation, "DEVICE_RELEASED", NIC);
    await assertModelEqualsKernel(simulation);
    expect(host.ioas("default", id).devices).toEqual(new Set([DISK]));
  });
});

describe("a device that appears or goes", () => {
  const OTHER = "0000:00:09.0";

  it("is told of without a question", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, machine } = simulation;
    machine.addDevice(added(OTHER, 9));
    await told(simulation, "DEVICE_ADDED", OTHER);
    await host.probe(OTHER);
    await machine.removeDevice(OTHER);
    await told(simulation, "DEVICE_REMOVED", OTHER);
    expect(simulation.events()).toEqual([
      `DEVICE_ADDED ${OTHER}`,
      `DEVICE_PROBED ${OTHER}`,
      `DEVICE_REMOVED ${OTHER}`,
    ]);
    expect((await refusal(() => host.hold(OTHER, "default"))).errorClass).toBe("DeviceNotFound");
  });

  it("is told of at the next query, where the kernel tells nothing", async () => {
    const simulation = new Simulation(TOPOLOGY, {}, { isDeaf: true });
    const { host, machine } = simulation;
    machine.addDevice(added(OTHER, 9));
    expect(simulation.events()).toEqual([]);
    expect((await host.devices()).map(({ platform }) => platform.device)).toContain(OTHER);
    expect(simulation.events()).toEqual([`DEVICE_ADDED ${OTHER}`]);
    await host.devices();
    expect(simulation.events()).toEqual([`DEVICE_ADDED ${OTHER}`]);
  });

  it("is another one when it comes back, of which nothing is known", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, machine } = simulation;
    machine.addDevice(added(OTHER, 9));
    await host.probe(OTHER);
    expect((await host.reserved(OTHER)).reserved.source).toBe("probe");
    await machine.removeDevice(OTHER);
    machine.addDevice(added(OTHER, 9));
    await told(simulation, "DEVICE_ADDED", OTHER);
    expect((await host.reserved(OTHER)).reserved.source).toBe("sysfs");
  });

  it("is given back first when it is held, and only then gone", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, machine } = simulation;
    await host.hold(GPU, "default");
    await machine.removeDevice(GPU);
    await told(simulation, "DEVICE_REMOVED", GPU);
    expect(simulation.events()).toEqual([
      `DEVICE_HELD ${GPU}`,
      `DEVICE_RELEASED ${GPU}`,
      `DEVICE_REMOVED ${GPU}`,
    ]);
    expect(simulation.openPaths()).toEqual(["/dev/iommu"]);
  });

  it("is not looked for after the end of the host", async () => {
    const simulation = new Simulation(TOPOLOGY);
    simulation.machine.addDevice(added(OTHER, 9));
    await simulation.host.close();
    simulation.machine.addDevice(added("0000:00:0a.0", 10));
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(simulation.events().filter((event) => event.startsWith("DEVICE"))).toEqual([]);
  });
});

describe("whatever runs while devices are unbound and bound again, in whatever order", () => {
  const REGIONS = new Map([NIC, DISK, GPU].map((device, index) => [device, region(index)]));
  const excludedBy = (device: string) => setOf(...[REGIONS.get(device) ?? []].flat());
  const device = fc.constantFrom(...REGIONS.keys());
  const context = fc.constantFrom("default", "guest");
  const step = fc.oneof(
    fc.record({ kind: fc.constant("rebind" as const), device }),
    fc.record({ kind: fc.constant("hold" as const), device, context }),
    fc.record({ kind: fc.constant("release" as const), device }),
    fc.record({ kind: fc.constant("probe" as const), device }),
    fc.record({ kind: fc.constant("attach" as const), device, ioas: fc.integer({ min: 1, max: 2 }) }),
    fc.record({ kind: fc.constant("detach" as const), device }),
    fc.record({ kind: fc.constant("destroy-context" as const) }),
    fc.record({ kind: fc.constant("query" as const) }),
  );
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  function region(index: number) {
    return { start: `0x${index}0000`, last: `0x${index}ffff`, type: "reserved" };
  }

  async function perform({ host, machine }: Simulation, step: Step): Promise<unknown> {
    switch (step.kind) {
      case "rebind":
        return machine.setDriver(step.device, "vfio-pci");
      case "hold":
        return host.hold(step.device, step.context);
      case "release":
        return host.release(step.device);
      case "probe":
        return host.probe(step.device);
      case "attach":
        return host.attach(step.device, step.ioas);
      case "detach":
        return host.detach(step.device);
      case "destroy-context":
        return host.destroyContext("guest");
      case "query":
        return host.devices();
    }
  }

  it("every unbind ends, the model equals the kernel, and nothing stays open that it does not show", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 2, maxLength: 10 }),
        fc.scheduler(),
        async (steps, scheduler) => {
          const simulation = new Simulation({
            devices: [NIC, DISK, GPU].map((device, index) => ({
              device,
              group: index >> 1,
              regions: [REGIONS.get(device) ?? []].flat(),
            })),
          });
          const { host, kernel } = simulation;
          host.createContext("guest", "persistent");
          for (const name of ["default", "guest"]) for (let i = 0; i < 2; i++) host.createIoas(name);
          for (const device of [NIC, DISK]) {
            await host.hold(device, "guest");
            await host.attach(device, 1);
          }
          kernel.queued = (call) => scheduler.schedule(Promise.resolve(), `${call} begins`);
          kernel.made = (call) => scheduler.schedule(Promise.resolve(), `${call} is told`);
          const requests = steps.map(async (step) => {
            await scheduler.schedule(Promise.resolve(), `${step.kind} is asked for`);
            await perform(simulation, step).catch((error) => expect(error).toBeInstanceOf(HostError));
          });
          await scheduler.waitFor(Promise.all(requests));
          // What the last unbind made the host do is done by then.
          while (scheduler.count() > 0 || hasLost(simulation)) {
            if (scheduler.count() > 0) await scheduler.waitOne();
            else await new Promise(setImmediate);
          }
          await scheduler.waitIdle();
          kernel.queued = async () => {};
          kernel.made = async () => {};
          await assertModelEqualsKernel(simulation, excludedBy);
          await host.close();
          expect(simulation.openPaths()).toEqual([]);
        },
      ),
      { numRuns: runs(30, 600) },
    );
  });

  /** Whether the host shows a device as held that the kernel has taken back. */
  function hasLost({ host, machine }: Simulation): boolean {
    const held = host.contexts().flatMap((each) => host.devicesIn(each));
    return held.some(
      ({ platform }) => !machine.openFds().some(({ path }) => path.endsWith(`/${platform.vfioDevice}`)),
    );
  }
});
