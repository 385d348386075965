import { describe, expect, it } from "vitest";
import type { Slice } from "../../src/host/slice.ts";
import { DISK, GPU, MSI, NIC, refusal, Simulation } from "./simulation.ts";

const TOPOLOGY = {
  devices: [
    { device: NIC, group: 1, regions: [MSI] },
    { device: DISK, group: 1, regions: [MSI] },
    { device: GPU, group: 2, regions: [MSI] },
    { device: "serial", group: 3 },
  ],
};

/** Every path that the host reads from now on. */
function readsOf({ kernel }: Simulation): string[] {
  const paths: string[] = [];
  for (const name of ["readFile", "readDirectory", "readLink", "exists"] as const) {
    const read = kernel[name].bind(kernel) as (path: string) => never;
    kernel[name] = (path: string) => {
      paths.push(path);
      return read(path);
    };
  }
  return paths;
}

/** A share of the event loop that is used up at once; `meanwhile` is what others do then. */
function spent(meanwhile: () => unknown = () => {}): Slice & { passes: number } {
  return {
    isOver: true,
    passes: 0,
    async pass() {
      this.passes++;
      await meanwhile();
    },
  };
}

describe("a question about one device", () => {
  it("reads of no other group, and finds the group by the device's bus", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const paths = readsOf(simulation);
    await simulation.host.device(GPU);
    await simulation.host.reserved(GPU);
    await simulation.host.probe(GPU);
    await simulation.host.hold(GPU, "default");
    expect(paths).toContain(`/sys/bus/pci/devices/${GPU}/iommu_group`);
    expect(paths.filter((path) => /iommu_groups($|\/[^2])/.test(path))).toEqual([]);
  });

  it("is answered for a device that is not PCI, and for one that is not there", async () => {
    const { host } = new Simulation(TOPOLOGY);
    expect((await host.device("serial")).platform.group).toBe(3);
    for (const name of ["0000:00:1f.0", "nothing"]) {
      expect((await refusal(() => host.device(name))).errorClass).toBe("DeviceNotFound");
    }
  });

  it("tells what it finds changed, of the sibling as well", async () => {
    const simulation = new Simulation(TOPOLOGY, {}, { isDeaf: true });
    const { host, machine } = simulation;
    await machine.setDriver(DISK, "nvme");
    await machine.setDriver(GPU, "nvme");
    expect((await host.device(NIC)).blockers).toMatchObject([{ reason: "group-sibling", devices: [DISK] }]);
    expect(simulation.events()).toEqual([`DEVICE_CHANGED ${NIC}`, `DEVICE_CHANGED ${DISK}`]);
    await host.look();
    expect(simulation.events().slice(2)).toEqual([`DEVICE_CHANGED ${GPU}`]);
  });
});

describe("a look at all devices", () => {
  it("lets others go first between any two devices", async () => {
    const { host } = new Simulation(TOPOLOGY);
    const slice = spent();
    await host.look(slice);
    expect(slice.passes).toBeGreaterThanOrEqual(TOPOLOGY.devices.length);
  });

  it("is shared by who asks at the same time: twenty cost no more than a few", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const paths = readsOf(simulation);
    await simulation.host.look();
    const one = paths.length;
    paths.length = 0;
    await Promise.all(Array.from({ length: 20 }, () => simulation.host.look(spent())));
    // One that has begun is not enough for who comes then, and each of them takes a step of it.
    expect(paths.length).toBeLessThanOrEqual(4 * one);
  });

  it("sees what has changed behind it before who asks later is answered", async () => {
    const simulation = new Simulation(TOPOLOGY, {}, { isDeaf: true });
    const { host, machine } = simulation;
    let later: Promise<unknown> | undefined;
    const ask = async () => {
      if (later) return;
      // The first devices have been looked at by now.
      await machine.setDriver(NIC, "nvme");
      later = host
        .devices(spent())
        .then((devices) =>
          expect(devices.find(({ platform }) => platform.device === NIC)?.platform.driver).toBe("nvme"),
        );
    };
    let passes = 0;
    await host.look(spent(() => (++passes === 3 ? ask() : undefined)));
    await later;
    expect(later).toBeDefined();
  });

  it("takes nothing for gone that has come while it went on", async () => {
    const simulation = new Simulation(TOPOLOGY, {}, { isDeaf: true });
    const { host } = simulation;
    await host.look(spent(() => host.look()));
    expect(simulation.events()).toEqual([]);
  });

  it("tells what a 1:1 region that comes to a group changes for the others that have it", async () => {
    const direct = { start: "0x5000", last: "0x5fff", type: "direct" };
    const simulation = new Simulation({
      devices: [
        { device: NIC, group: 1, regions: [direct] },
        { device: DISK, group: 2, regions: [direct] },
      ],
    });
    const { host, machine, changes } = simulation;
    await machine.removeDevice(DISK);
    await host.look();
    expect(changes.at(-1)).toMatchObject({
      event: "DEVICE_CHANGED",
      device: NIC,
      record: { blockers: [{ devices: [NIC], detail: expect.stringContaining("on this device only") }] },
    });
  });
});

it("a context's devices are closed side by side", async () => {
  const { host, kernel } = new Simulation(TOPOLOGY);
  host.createContext("guest", "persistent");
  for (const device of [NIC, GPU, "serial"]) await host.hold(device, "guest");
  let goOn = () => {};
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let closing = 0;
  const all = new Promise<void>((resolve) => {
    kernel.queued = async (call) => {
      if (call !== "close") return;
      if (++closing === 3) resolve();
      await gate;
    };
  });
  const end = host.destroyContext("guest");
  await all;
  goOn();
  await end;
  expect(host.heldCount).toBe(0);
});
