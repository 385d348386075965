import { beforeEach, describe, expect, it } from "vitest";
import { SystemCallError } from "../../src/kernel/kernel.ts";
import type { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { VfioContainer, VfioGroup } from "../../src/kernel/type1.ts";
import { outcome } from "../conformance/session.ts";
import { sessionOn } from "./session-on.ts";

const REGION = { start: "0x1000", last: "0x1fff", type: "reserved" };
const [A, B, C] = ["0000:00:05.0", "0000:00:06.0", "0000:00:07.0"] as const;

/** Two devices in one group, a third in another, behind different IOMMUs. */
const HOST = {
  kernel: { iommufd: false },
  iommus: [
    { name: "dmar0", aperture: { start: "0x0", last: "0xffffffff" } },
    { name: "dmar1", aperture: { start: "0x800", last: "0xffffffffff" } },
  ],
  devices: [
    { device: A, iommu: "dmar0", group: 1, driver: "vfio-pci", regions: [REGION] },
    { device: B, iommu: "dmar0", group: 1, driver: "vfio-pci" },
    { device: C, iommu: "dmar1", group: 2, driver: "vfio-pci" },
  ],
};

const hostWith = (changes: object = {}) => sessionOn({ ...HOST, ...changes }).kernel;

let kernel: SimulatedKernel;
let group: VfioGroup;
let container: VfioContainer;

beforeEach(() => {
  kernel = hostWith();
  group = VfioGroup.open(kernel, 1);
  container = VfioContainer.open(kernel);
});

const ranges = async () => [...((await container.iovaRanges())?.ranges ?? [])];

describe("a VFIO group", () => {
  it("has a node while any of its devices is on a VFIO driver", async () => {
    expect(kernel.readDirectory("/dev/vfio").sort()).toEqual(["1", "2", "vfio"]);
    await kernel.setDriver(A, null);
    expect(kernel.exists("/dev/vfio/1")).toBe(true);
    await kernel.setDriver(B, null);
    expect(kernel.readDirectory("/dev/vfio").sort()).toEqual(["2", "vfio"]);
  });

  it("that is open keeps no device from leaving, and is of no use then", async () => {
    await group.setContainer(container);
    await container.setIommu();
    await kernel.setDriver(A, null);
    await kernel.setDriver(B, null);
    expect(await outcome(() => group.isViable())).toBe("ENODEV");
    expect(await outcome(() => group.setContainer(container))).toBe("ENODEV");
    expect(await outcome(() => container.iovaRanges())).toBe("EINVAL");
    await kernel.setDriver(A, "e1000e");
    await group.close();
  });

  it("is not viable while a sibling is on a host driver, which cannot come while it is in use", async () => {
    await kernel.setDriver(B, "e1000e");
    expect(await group.isViable()).toBe(false);
    expect(await outcome(() => group.setContainer(container))).toBe("EPERM");
    await kernel.setDriver(B, null);
    await group.setContainer(container);
    expect(await outcome(() => kernel.setDriver(B, "e1000e"))).toBe("EBUSY");
  });

  it("with a 1:1 region goes into no container", async () => {
    const host = hostWith({
      devices: [
        { device: A, iommu: "dmar0", group: 1, driver: "vfio-pci", regions: [{ ...REGION, type: "direct" }] },
      ],
    });
    const other = VfioGroup.open(host, 1);
    expect(await other.isViable()).toBe(true);
    expect(await outcome(() => other.setContainer(VfioContainer.open(host)))).toBe("EINVAL");
    expect(await other.isViable()).toBe(true);
  });
});

describe("a container", () => {
  it("allows what every group in it does", async () => {
    await group.setContainer(container);
    await container.setIommu();
    expect(await ranges()).toEqual([
      { start: 0n, last: 0xfffn },
      { start: 0x2000n, last: 0xffffffffn },
    ]);
    const second = VfioGroup.open(kernel, 2);
    await second.setContainer(container);
    expect(await ranges()).toEqual([
      { start: 0x800n, last: 0xfffn },
      { start: 0x2000n, last: 0xffffffffn },
    ]);
    await group.close();
    expect(await ranges()).toEqual([{ start: 0x800n, last: 0xffffffffffn }]);
  });

  it("takes no group that would leave nothing to map, and none without isolated MSI", async () => {
    const everything = { start: "0x0", last: "0xffffffffffffffff", type: "reserved" };
    const host = hostWith({
      devices: [
        { device: A, iommu: "dmar0", group: 1, driver: "vfio-pci", regions: [everything] },
        { device: B, iommu: "dmar0", group: 2, driver: "vfio-pci", "isolated-msi": false },
        { device: C, iommu: "dmar1", group: 3, driver: "vfio-pci" },
      ],
    });
    const full = VfioContainer.open(host);
    const good = VfioGroup.open(host, 3);
    await good.setContainer(full);
    await full.setIommu();
    for (const [number, errno] of [
      [1, "EINVAL"],
      [2, "EPERM"],
    ] as const) {
      const bad = VfioGroup.open(host, number);
      expect(await outcome(() => bad.setContainer(full))).toBe(errno);
      expect(await bad.isViable()).toBe(true);
      const alone = VfioContainer.open(host);
      await bad.setContainer(alone);
      expect(await outcome(() => alone.setIommu())).toBe(errno);
    }
  });
});

describe("a device", () => {
  const entry = parseTopology({
    iommus: [{ name: "dmar0" }],
    devices: [{ ...HOST.devices[0], device: "d", group: 7 }],
  }).devices[0];

  it("can be plugged in and pulled out, with its group", async () => {
    const events: string[] = [];
    kernel.watchDevices(({ action, device }) => events.push(`${action} ${device}`));
    if (entry) kernel.addDevice(entry);
    expect(kernel.readDirectory("/sys/kernel/iommu_groups")).toContain("7");
    expect(kernel.exists("/dev/vfio/7")).toBe(true);
    await kernel.removeDevice("d");
    expect(kernel.readDirectory("/sys/kernel/iommu_groups")).toEqual(["1", "2"]);
    expect(kernel.exists("/dev/vfio/7")).toBe(false);
    await new Promise(setImmediate);
    expect(events).toEqual(["add d", "add vfio3", "bind d", "remove vfio3", "unbind d", "remove d"]);
    await expect(kernel.removeDevice("d")).rejects.toEqual(new SystemCallError("ENODEV", "write"));
  });

  it("that is unbound tells so as soon as nothing can be opened any more", async () => {
    const events: string[] = [];
    kernel.watchDevices(({ action, device }) => events.push(`${action} ${device}`));
    await kernel.setDriver(C, null);
    await new Promise(setImmediate);
    expect(events).toEqual(["remove vfio2", "unbind 0000:00:07.0"]);
    await kernel.shutdown();
    await kernel.setDriver(C, "vfio-pci");
    await new Promise(setImmediate);
    expect(events).toHaveLength(2);
  });
});
