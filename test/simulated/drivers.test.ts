import { beforeEach, describe, expect, it } from "vitest";
import type { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { outcome, type Session } from "../conformance/session.ts";
import { sessionOn } from "./session-on.ts";

const A = "/sys/bus/pci/devices/0000:00:05.0";
const HOST = {
  iommus: [{ name: "dmar0" }],
  devices: [
    { device: "0000:00:05.0", iommu: "dmar0", group: 1, driver: "vfio-pci" },
    { device: "0000:00:06.0", iommu: "dmar0", group: 1, driver: "vfio-pci" },
  ],
};

let session: Session;
let kernel: SimulatedKernel;

beforeEach(() => {
  const on = sessionOn(HOST);
  session = on;
  kernel = on.kernel;
});

describe("setDriver", () => {
  it("takes a device from VFIO and gives it back, with the lowest free number", async () => {
    await kernel.setDriver("0000:00:05.0", null);
    expect(kernel.exists(`${A}/driver`)).toBe(false);
    expect(kernel.exists(`${A}/vfio-dev`)).toBe(false);
    expect(kernel.readDirectory("/dev/vfio/devices")).toEqual(["vfio1"]);
    expect(await outcome(() => kernel.open("/dev/vfio/devices/vfio0"))).toBe("ENOENT");

    await kernel.setDriver("0000:00:05.0", "e1000e");
    expect(kernel.readLink(`${A}/driver`)).toMatch(/\/e1000e$/);
    expect(kernel.readDirectory("/sys/bus/pci/drivers").sort()).toEqual(["e1000e", "vfio-pci"]);
    expect(kernel.exists(`${A}/vfio-dev`)).toBe(false);

    await kernel.setDriver("0000:00:05.0", "vfio-pci");
    expect(kernel.readDirectory(`${A}/vfio-dev`)).toEqual(["vfio0"]);
    expect(kernel.readFile(`${A}/vfio-dev/vfio0/dev`)).toMatch(/^\d+:0\n$/);
  });

  it("waits for the last close of the device's files, while no new one can be opened", async () => {
    const first = session.openDevice(0);
    const second = session.openDevice(0);
    await session.bind(second, session.openIommufd());
    let settled = false;
    const unbind = kernel.setDriver("0000:00:05.0", "e1000e").then(() => {
      settled = true;
    });
    expect(kernel.exists(`${A}/driver`)).toBe(false);
    expect(await outcome(() => session.openDevice(0))).toBe("ENOENT");
    await session.close(first);
    expect(settled).toBe(false);
    await session.close(second);
    await unbind;
    expect(kernel.readLink(`${A}/driver`)).toMatch(/\/e1000e$/);
  });

  it("waits for who is at the same device: nobody takes it out while it is open", async () => {
    const open = session.openDevice(0);
    const unbind = kernel.setDriver("0000:00:05.0", null);
    const removals = [0, 1].map(() => outcome(() => kernel.removeDevice("0000:00:05.0")));
    await kernel.setDriver("0000:00:06.0", "pci-stub");
    expect(kernel.exists(A)).toBe(true);
    await session.close(open);
    await unbind;
    expect(await Promise.all(removals)).toEqual(["OK", "ENODEV"]);
    expect(kernel.exists(A)).toBe(false);
    expect(kernel.readDirectory("/sys/kernel/iommu_groups/1/devices")).toEqual(["0000:00:06.0"]);
  });

  it("leaves a number taken while its device is open", async () => {
    const open = session.openDevice(0);
    const unbind = kernel.setDriver("0000:00:05.0", null);
    await kernel.setDriver("0000:00:06.0", null);
    await kernel.setDriver("0000:00:06.0", "vfio-pci");
    expect(kernel.readDirectory("/dev/vfio/devices")).toEqual(["vfio1"]);
    await session.close(open);
    await unbind;
  });

  it("is EBUSY for a host driver in a group that user space owns, which leaves the device unbound", async () => {
    const device = session.openDevice(0);
    await session.bind(device, session.openIommufd());
    expect(await outcome(() => kernel.setDriver("0000:00:06.0", "e1000e"))).toBe("EBUSY");
    expect(kernel.exists("/sys/bus/pci/devices/0000:00:06.0/driver")).toBe(false);
    expect(await outcome(() => kernel.setDriver("0000:00:06.0", "pci-stub"))).toBe("OK");
    await session.close(device);
    expect(await outcome(() => kernel.setDriver("0000:00:06.0", "e1000e"))).toBe("OK");
  });

  it("is ENODEV for a device that is not there", async () => {
    expect(await outcome(() => kernel.setDriver("0000:00:07.0", null))).toBe("ENODEV");
  });
});

describe("a host", () => {
  const without = (kernelMembers: object) => sessionOn({ ...HOST, kernel: kernelMembers }).kernel;

  it("without iommufd has no /dev/iommu and no cdevs, but groups and VFIO devices", () => {
    const host = without({ iommufd: false });
    expect(host.exists("/dev/iommu")).toBe(false);
    expect(host.exists("/dev/vfio/devices")).toBe(false);
    expect(host.readFile("/proc/devices")).not.toContain("vfio-dev");
    expect(host.readDirectory(`${A}/vfio-dev`)).toEqual(["vfio0"]);
    expect(host.exists(`${A}/vfio-dev/vfio0/dev`)).toBe(false);
    expect(host.readFile("/sys/kernel/iommu_groups/1/reserved_regions")).toBe("");
  });

  it("without cdevs has /dev/iommu all the same", () => {
    const host = without({ "vfio-cdev": false });
    expect(host.exists("/dev/iommu")).toBe(true);
    expect(host.exists("/dev/vfio/devices/vfio0")).toBe(false);
  });

  it("tells the release it is given", () => {
    expect(without({ release: "6.6.0-test" })).toMatchObject({ release: "6.6.0-test", backend: "simulated" });
  });

  it("has devices without an IOMMU on their bus, in no group and not with VFIO", () => {
    const { kernel } = sessionOn({ devices: [{ device: "fd000000.usb", driver: "vfio-platform" }] });
    const device = "/sys/bus/platform/devices/fd000000.usb";
    expect(kernel.readDirectory(device)).toEqual(["driver"]);
    expect(kernel.readDirectory("/sys/kernel/iommu_groups")).toEqual([]);
    expect(kernel.exists("/dev/vfio/devices")).toBe(false);
  });

  it("shows what is open", async () => {
    const iommufd = session.openIommufd();
    const device = session.openDevice(1);
    await session.bind(device, iommufd);
    expect(kernel.openFds()).toEqual([
      { fd: iommufd, path: "/dev/iommu" },
      { fd: device, path: "/dev/vfio/devices/vfio1" },
    ]);
    await session.end();
    expect(kernel.openFds()).toEqual([]);
  });
});
