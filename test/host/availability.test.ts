import { describe, expect, it } from "vitest";
import { SystemCallError } from "../../src/kernel/kernel.ts";
import { VFIO_DEVICE_BIND_IOMMUFD, vfio_device_bind_iommufd } from "../../src/uapi/vfio.ts";
import { DISK, GPU, NIC, refusal, Simulation } from "./simulation.ts";

/** The NIC and the disk share a group. */
const TOPOLOGY = {
  devices: [
    { device: NIC, group: 1 },
    { device: DISK, group: 1 },
    { device: GPU, group: 2 },
  ],
};

const reasons = async ({ host }: Simulation, device: string) =>
  (await host.device(device)).blockers.map(({ reason }) => reason);

/** Another process binds the device; the function ends it. */
async function bindElsewhere({ machine }: Simulation, vfio: string): Promise<() => Promise<void>> {
  const [iommufd, cdev] = [machine.open("/dev/iommu"), machine.open(`/dev/vfio/devices/${vfio}`)];
  await machine.slowIoctl(cdev, VFIO_DEVICE_BIND_IOMMUFD, vfio_device_bind_iommufd.encode({ iommufd }));
  return async () => {
    await machine.close(cdev);
    await machine.close(iommufd);
  };
}

describe("a device that can be held now", () => {
  it("is available, and has no blocker at all", async () => {
    const { host } = new Simulation(TOPOLOGY);
    expect(await host.device(GPU)).toMatchObject({ available: true, assignable: true, blockers: [] });
  });

  it("is still assignable while somebody has it, and not available", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host } = simulation;
    await host.hold(GPU, "default", 1000);
    expect(await host.device(GPU)).toMatchObject({
      available: false,
      assignable: true,
      owner: 1000,
      blockers: [
        { device: GPU, reason: "held", transient: true, detail: expect.stringContaining("uid 1000") },
      ],
    });
    await host.release(GPU);
    expect(await host.device(GPU)).toMatchObject({ available: true, owner: null });
  });

  it("is not available while its sibling is held, or used by others", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host } = simulation;
    await host.hold(DISK, "default");
    expect((await host.device(NIC)).blockers).toMatchObject([
      { reason: "sibling-held", transient: true, devices: [DISK] },
    ]);
    await host.release(DISK);
    expect(await reasons(simulation, NIC)).toEqual([]);
    const end = await bindElsewhere(simulation, "vfio1");
    expect(await reasons(simulation, NIC)).toEqual(["sibling-held"]);
    await end();
    expect(await reasons(simulation, NIC)).toEqual([]);
  });

  it("is in use while another process has it bound, without anybody trying", async () => {
    const simulation = new Simulation(TOPOLOGY);
    const { host, changes } = simulation;
    const end = await bindElsewhere(simulation, "vfio2");
    expect(await host.device(GPU)).toMatchObject({ state: "observed", available: false, assignable: true });
    expect(await reasons(simulation, GPU)).toEqual(["in-use"]);
    await end();
    expect(await reasons(simulation, GPU)).toEqual([]);
    expect(changes.map(({ event }) => event)).toEqual(["DEVICE_CHANGED", "DEVICE_CHANGED"]);
  });

  it.each(["probe", "hold and release"])(
    "is not in use by the daemon's own %s, also for who looks meanwhile",
    async (what) => {
      const simulation = new Simulation(TOPOLOGY);
      const { host, kernel } = simulation;
      const seen: string[][] = [];
      // Whatever the kernel has done already, nobody else has done.
      kernel.made = async () => {
        seen.push(await reasons(simulation, GPU));
      };
      if (what === "probe") await host.probe(GPU);
      else {
        await host.hold(GPU, "default");
        await host.release(GPU);
      }
      expect(seen.flat()).not.toContain("in-use");
      expect(seen.length).toBeGreaterThan(1);
      expect(await reasons(simulation, GPU)).toEqual([]);
    },
  );
});

describe("what a refused bind has taught", () => {
  const DEVICES = [
    { device: NIC, coherent: false },
    { device: DISK, "isolated-msi": false },
  ];

  it.each([
    [NIC, "no-coherent-dma"],
    [DISK, "no-isolated-msi"],
  ])("of %s is shown from then on, told before the answer, and lasts: %s", async (device, reason) => {
    const simulation = new Simulation({ devices: DEVICES });
    const { host, changes, machine } = simulation;
    expect(await host.device(device)).toMatchObject({ assignable: true, available: true });
    const { data } = await refusal(() => host.probe(device));
    expect(changes).toMatchObject([
      {
        event: "DEVICE_CHANGED",
        device,
        record: { assignable: false, blockers: [{ device, reason, transient: false }] },
      },
    ]);
    expect((await host.device(device)).blockers).toEqual(data.blockers);
    await host.look();
    expect(await reasons(simulation, device)).toEqual([reason]);
    // Another driver makes it another device.
    await machine.setDriver(device, "nvme");
    await machine.setDriver(device, "vfio-pci");
    for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
    expect(await reasons(simulation, device)).toEqual([]);
  });

  it("is forgotten, and that is told, when a later probe succeeds", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC }] });
    const { host, kernel, changes } = simulation;
    kernel.before = (call) => {
      if (call === "BIND") throw new SystemCallError("EPERM", call);
    };
    await refusal(() => host.probe(NIC));
    kernel.before = () => {};
    await host.probe(NIC);
    expect(changes).toMatchObject([
      { event: "DEVICE_CHANGED", record: { assignable: false } },
      { event: "DEVICE_CHANGED", record: { assignable: true } },
      { event: "DEVICE_PROBED" },
    ]);
  });

  it("is forgotten when a later bind succeeds", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC }] });
    const { host, kernel } = simulation;
    kernel.before = (call) => {
      if (call === "BIND") throw new SystemCallError("EPERM", call);
    };
    await refusal(() => host.hold(NIC, "default"));
    expect(await reasons(simulation, NIC)).toEqual(["no-isolated-msi"]);
    kernel.before = () => {};
    await host.hold(NIC, "default");
    expect(await reasons(simulation, NIC)).toEqual(["held"]);
  });
});

describe("who has a device open", () => {
  it("is told of by its node or its group's, each process once", async () => {
    const { host, machine } = new Simulation(TOPOLOGY);
    const qemu = { pid: 4711, uid: 107, command: "qemu-system-x86" };
    const other = { pid: 99, uid: 0, command: "dpdk" };
    machine.fileUses.push(
      { path: "/dev/vfio/devices/vfio0", ...qemu },
      { path: "/dev/vfio/1", ...qemu },
      { path: "/dev/vfio/1", ...other },
      { path: "/dev/vfio/devices/vfio2", ...other },
      { path: "/dev/null", ...other },
    );
    const usersOf = await host.users();
    expect((await host.devices()).map((record) => usersOf?.(record))).toEqual([
      [other, qemu],
      [other, qemu],
      [other],
    ]);
  });

  it("is asked once for all who ask before the search has begun", async () => {
    const { host, kernel } = new Simulation(TOPOLOGY);
    await Promise.all(Array.from({ length: 20 }, () => host.users()));
    expect(kernel.calls).toEqual(["openFiles"]);
  });

  it("is not known where /proc cannot be read", async () => {
    const { host, kernel } = new Simulation(TOPOLOGY);
    kernel.openFiles = () => Promise.reject(new SystemCallError("EMFILE", "scandir"));
    expect(await host.users()).toBeNull();
  });
});

it("what a device is, it shows itself", async () => {
  const pci = { vendor: "0x8086", device: "0x1521", class: "0x020000" };
  const { host } = new Simulation({
    devices: [{ device: NIC, pci, "numa-node": 1 }, { device: "serial" }],
  });
  expect((await host.device(NIC)).platform).toMatchObject({
    iommu: "iommu0",
    numaNode: 1,
    pci: { ...pci, subsystemVendor: "0x0000", subsystemDevice: "0x0000" },
  });
  expect((await host.device("serial")).platform).toMatchObject({ pci: null, numaNode: null });
});
