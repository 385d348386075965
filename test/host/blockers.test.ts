import { describe, expect, it } from "vitest";
import type { Blocker } from "../../src/host/platform/blockers.ts";
import { AUDIO, DISK, GPU, MSI, NIC, refusal, Simulation, type TestTopology } from "./simulation.ts";

const RMRR = { start: "0xbdf6e000", last: "0xbdf84fff", type: "direct" };

async function blockersOf({ host }: Simulation, device: string): Promise<readonly Blocker[]> {
  return (await host.device(device)).blockers;
}

function blockers(topology: TestTopology, device = NIC): Promise<readonly Blocker[]> {
  return blockersOf(new Simulation(topology), device);
}

describe("nothing stands in the way of", () => {
  it("a device on a VFIO driver with its cdev", async () => {
    expect(await blockers({ devices: [{ device: NIC, regions: [MSI] }] })).toEqual([]);
  });

  it("a device whose 1:1 region is relaxable", async () => {
    const simulation = new Simulation({
      devices: [{ device: NIC, regions: [{ ...RMRR, type: "direct-relaxable" }] }],
    });
    expect(await blockersOf(simulation, NIC)).toEqual([]);
    await simulation.host.hold(NIC, "default");
  });

  it.each([null, "pcieport", "pci-stub", "vfio-pci"])("a device whose sibling is on %s", async (driver) => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, group: 1 },
        { device: DISK, group: 1, driver },
      ],
    });
    expect(await blockersOf(simulation, NIC)).toEqual([]);
    await simulation.host.hold(NIC, "default");
  });

  it("a device next to another group's troubles", async () => {
    const devices = [
      { device: NIC, group: 1 },
      { device: DISK, group: 2, driver: "nvme", regions: [RMRR] },
    ];
    expect(await blockers({ devices })).toEqual([]);
  });
});

describe("direct-mapping", () => {
  const topology = {
    devices: [
      { device: NIC, group: 1, regions: [RMRR, MSI] },
      { device: DISK, group: 1 },
      { device: GPU, group: 2, regions: [RMRR] },
      { device: AUDIO, group: 3, regions: [{ ...RMRR, last: "0xbdf84000" }] },
    ],
  };

  it("names the region and every device whose group carries it", async () => {
    expect(await blockers(topology)).toEqual([
      {
        device: NIC,
        reason: "direct-mapping",
        transient: false,
        detail: expect.stringContaining("RMRR"),
        region: { start: 0xbdf6e000n, last: 0xbdf84fffn, type: "direct", enforced: true },
        devices: [NIC, DISK, GPU],
      },
    ]);
  });

  it("blocks a device whose sibling carries the region, as the kernel does", async () => {
    const simulation = new Simulation(topology);
    expect((await blockersOf(simulation, DISK)).map(({ reason }) => reason)).toEqual(["direct-mapping"]);
    const { errorClass, data } = await refusal(() => simulation.host.hold(DISK, "default"));
    expect(errorClass).toBe("DeviceBlocked");
    expect(data).toEqual({ errno: "EINVAL", blockers: await blockersOf(simulation, DISK) });
  });

  it("is there once for each region", async () => {
    const other = { start: "0x0", last: "0xffffff", type: "direct" };
    const found = await blockers({ devices: [{ device: NIC, regions: [RMRR, other] }] });
    expect(found.map(({ region }) => region?.start)).toEqual([0n, 0xbdf6e000n]);
  });
});

describe("no-vfio-driver", () => {
  it.each(["nvme", null])("is the reason while the driver is %s", async (driver) => {
    const simulation = new Simulation({ devices: [{ device: NIC, driver }] });
    expect(await blockersOf(simulation, NIC)).toEqual([
      {
        device: NIC,
        reason: "no-vfio-driver",
        transient: false,
        detail: expect.stringContaining(`driverctl set-override ${NIC} vfio-pci`),
      },
    ]);
    expect((await refusal(() => simulation.host.hold(NIC, "default"))).errorClass).toBe("DeviceNotReady");
  });

  it("goes when the device is bound to vfio-pci", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC, driver: null }] });
    await simulation.machine.setDriver(NIC, "vfio-pci");
    expect(await blockersOf(simulation, NIC)).toEqual([]);
  });
});

describe("no-cdev", () => {
  it("is the reason on a kernel without CONFIG_VFIO_DEVICE_CDEV", async () => {
    expect(await blockers({ devices: [{ device: NIC }], kernel: { "vfio-cdev": false } })).toEqual([
      {
        device: NIC,
        reason: "no-cdev",
        transient: false,
        detail: expect.stringContaining("CONFIG_VFIO_DEVICE_CDEV"),
      },
    ]);
  });
});

describe("group-sibling", () => {
  it("names the siblings on host drivers, and only them", async () => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, group: 1 },
        { device: DISK, group: 1, driver: "nvme" },
        { device: GPU, group: 1, driver: "amdgpu" },
        { device: AUDIO, group: 1, driver: null },
      ],
    });
    expect(await blockersOf(simulation, NIC)).toEqual([
      {
        device: NIC,
        reason: "group-sibling",
        transient: false,
        detail: expect.stringContaining(`${DISK} (nvme), ${GPU} (amdgpu)`),
        devices: [DISK, GPU],
      },
    ]);
    const { errorClass, data } = await refusal(() => simulation.host.hold(NIC, "default"));
    expect(errorClass).toBe("DeviceBusy");
    expect(data).toMatchObject({ errno: "EPERM", blockers: [{ devices: [DISK, GPU] }] });
  });

  it("stands beside the other reasons", async () => {
    const devices = [
      { device: NIC, group: 1, driver: "ixgbe", regions: [RMRR] },
      { device: DISK, group: 1, driver: "nvme" },
    ];
    expect((await blockers({ devices })).map(({ reason }) => reason)).toEqual([
      "direct-mapping",
      "no-vfio-driver",
      "group-sibling",
    ]);
  });
});

describe("what only a bind shows", () => {
  it("no-coherent-dma and no-isolated-msi are said when it fails, and not before", async () => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, coherent: false },
        { device: DISK, "isolated-msi": false },
      ],
    });
    for (const [device, errno, reason] of [
      [NIC, "EINVAL", "no-coherent-dma"],
      [DISK, "EPERM", "no-isolated-msi"],
    ] as const) {
      expect(await blockersOf(simulation, device)).toEqual([]);
      const { errorClass, data } = await refusal(() => simulation.host.hold(device, "default"));
      expect(errorClass).toBe("DeviceBlocked");
      expect(data).toMatchObject({ errno, blockers: [{ reason }] });
    }
    expect(simulation.openPaths()).toEqual(["/dev/iommu"]);
  });
});
