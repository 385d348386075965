import { afterEach, describe, expect, it } from "vitest";
import { Host } from "../../src/host/host.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { NIC } from "./simulation.ts";
import { TamperedKernel } from "./tampered-kernel.ts";

const GROUP = 1;
const TOPOLOGY = parseTopology({
  iommus: [{ name: "iommu0" }],
  devices: [{ device: NIC, iommu: "iommu0", group: GROUP, driver: "vfio-pci" }],
});

/** Linux 7.3, whose cdevs without an IOMMU have names of their own. */
class WithCdevs extends SimulatedKernel {
  override readDirectory(path: string): string[] {
    const names = super.readDirectory(path);
    return path.endsWith("/vfio-dev") ? names.map((name) => `noiommu-${name}`) : names;
  }

  override exists(path: string): boolean {
    return super.exists(path.replace("/noiommu-vfio", "/vfio"));
  }
}

/** Linux before that, where only the group's node tells; there is no cdev. */
class WithGroups extends SimulatedKernel {
  override exists(path: string): boolean {
    if (path.startsWith("/dev/vfio/devices/")) return false;
    return path === `/dev/vfio/noiommu-${GROUP}` || super.exists(path);
  }
}

describe.each([
  ["a cdev", WithCdevs],
  ["a group", WithGroups],
])("a device that VFIO gives out without an IOMMU, as %s,", (_how, Simulated) => {
  const kernel = new TamperedKernel(new Simulated(TOPOLOGY));
  const host = new Host(kernel);
  afterEach(() => {
    expect(kernel.calls.filter((call) => call.startsWith("open /dev/vfio"))).toEqual([]);
  });

  it("has that for its only blocker", async () => {
    expect((await host.devices()).map(({ blockers }) => blockers.map(({ reason }) => reason))).toEqual([
      ["no-iommu"],
    ]);
  });

  it("shows who has its group open", async () => {
    const dpdk = { pid: 99, uid: 0, command: "dpdk" };
    const machine = new Simulated(TOPOLOGY);
    machine.fileUses.push({ path: `/dev/vfio/noiommu-${GROUP}`, ...dpdk });
    const watching = new Host(machine);
    const usersOf = await watching.users();
    expect((await watching.devices()).map((record) => usersOf?.(record))).toEqual([[dpdk]]);
  });

  it.each([
    ["held", () => host.hold(NIC, "default")],
    ["probed", () => host.probe(NIC)],
  ])("is not %s", async (_what, attempt) => {
    await expect(attempt()).rejects.toMatchObject({
      errorClass: "DeviceBlocked",
      data: { blockers: [{ reason: "no-iommu" }] },
    });
  });
});
