import { basename } from "node:path/posix";
import { afterAll, describe, expect, it } from "vitest";
import { DEVICES, kernelUnderTest, SIBLINGS } from "./kernel-under-test.ts";
import { onlyWhere } from "./only-where.ts";
import { currentPlatform } from "./platforms.ts";
import { outcome } from "./session.ts";

const { kernel, devices: cdevs } = await kernelUnderTest();
afterAll(() => kernel.shutdown());

const GROUPS = "/sys/kernel/iommu_groups";
const { apertureLast, bridgeRegions, iommu, regions, unitLast = apertureLast } = currentPlatform();
const text = (lines: readonly string[]) => lines.map((line) => `${line}\n`).join("");

const groupOf = (device: string) => basename(kernel.readLink(`/sys/bus/pci/devices/${device}/iommu_group`));

describe("an IOMMU group in sysfs", () => {
  it.each(DEVICES)("of %s has it as its only device", (device) => {
    expect(kernel.readDirectory(GROUPS)).toContain(groupOf(device));
    expect(kernel.readDirectory(`${GROUPS}/${groupOf(device)}/devices`)).toEqual([device]);
    expect(basename(kernel.readLink(`${GROUPS}/${groupOf(device)}/devices/${device}`))).toBe(device);
  });

  it.each(DEVICES)("of %s lists what its IOMMU's driver reserves", (device) => {
    expect(kernel.readFile(`${GROUPS}/${groupOf(device)}/reserved_regions`)).toBe(text(regions));
  });

  it("lists the union of what its devices reserve", () => {
    const group = groupOf(SIBLINGS[0]);
    expect(kernel.readDirectory(`${GROUPS}/${group}/devices`).sort()).toEqual(SIBLINGS);
    expect(kernel.readFile(`${GROUPS}/${group}/reserved_regions`)).toBe(text([...bridgeRegions, ...regions]));
  });
});

describe("a device in sysfs", () => {
  const roots = DEVICES.flatMap((device) => [
    `/sys/bus/pci/devices/${device}`,
    `${GROUPS}/${groupOf(device)}/devices/${device}`,
  ]);

  it.each(roots)("at %s shows driver, VFIO device and IOMMU", (root) => {
    expect(basename(kernel.readLink(`${root}/driver`))).toBe("vfio-pci");
    expect(kernel.exists(`${root}/driver`)).toBe(true);
    const [name, ...more] = kernel.readDirectory(`${root}/vfio-dev`);
    expect(more).toEqual([]);
    expect(cdevs).toContain(`/dev/vfio/devices/${name}`);
    expect(kernel.readFile(`${root}/vfio-dev/${name}/dev`)).toMatch(/^\d+:\d+\n$/);
    expect(kernel.exists(`/dev/vfio/devices/${name}`)).toBe(true);
    expect(basename(kernel.readLink(`${root}/iommu`))).toBe(iommu);
  });

  // Only VT-d has that register; AMD's has a test of its own in test/host/aperture-estimate.
  it(
    "shows the width of its VT-d unit's addresses in the capability register",
    onlyWhere(iommu === "dmar0", "VT-d"),
    () => {
      const capability = kernel.readFile(`/sys/bus/pci/devices/${DEVICES[0]}/iommu/intel-iommu/cap`);
      expect(capability).toMatch(/^[0-9a-f]+\n$/);
      const bits = ((BigInt(`0x${capability.trim()}`) >> 16n) & 0x3fn) + 1n;
      expect((1n << bits) - 1n).toBe(unitLast);
    },
  );

  it("without a driver has no such link", async () => {
    const link = "/sys/bus/pci/devices/0000:00:00.0/driver";
    expect(kernel.exists(link)).toBe(false);
    expect(await outcome(() => kernel.readLink(link))).toBe("ENOENT");
    expect(await outcome(() => kernel.readDirectory(`${link}/../vfio-dev`))).toBe("ENOENT");
  });
});

describe("paths", () => {
  const device = `/sys/bus/pci/devices/${DEVICES[0]}`;
  const file = `${GROUPS}/${groupOf(DEVICES[0])}/reserved_regions`;

  it("that lead nowhere are ENOENT, and through a file ENOTDIR", async () => {
    expect(await outcome(() => kernel.readFile(`${GROUPS}/99999/reserved_regions`))).toBe("ENOENT");
    expect(await outcome(() => kernel.readDirectory(`${GROUPS}/99999`))).toBe("ENOENT");
    expect(await outcome(() => kernel.readLink(`${device}/nothing`))).toBe("ENOENT");
    expect(await outcome(() => kernel.readFile(`${file}/x`))).toBe("ENOTDIR");
    expect(kernel.exists(`${file}/x`)).toBe(false);
    expect(kernel.exists(`${GROUPS}/99999`)).toBe(false);
  });

  it("of another kind than the call wants are EISDIR, ENOTDIR and EINVAL", async () => {
    expect(await outcome(() => kernel.readFile(GROUPS))).toBe("EISDIR");
    expect(await outcome(() => kernel.readDirectory(file))).toBe("ENOTDIR");
    expect(await outcome(() => kernel.readLink(file))).toBe("EINVAL");
    expect(await outcome(() => kernel.readLink(GROUPS))).toBe("EINVAL");
  });

  it("can go through links and up again", () => {
    expect(kernel.readFile(`${device}/iommu_group/reserved_regions`)).toBe(text(regions));
    expect(kernel.readDirectory(`${device}/iommu_group/../../iommu_groups`)).toEqual(
      kernel.readDirectory(GROUPS),
    );
  });

  it("show that the kernel has iommufd and cdevs", () => {
    expect(kernel.exists("/dev/iommu")).toBe(true);
    expect(kernel.readFile("/proc/devices")).toMatch(/^\s*\d+ vfio-dev$/m);
  });
});
