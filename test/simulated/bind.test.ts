import { describe, expect, it } from "vitest";
import { outcome } from "../conformance/session.ts";
import { sessionOn } from "./session-on.ts";

const IOMMU = { name: "dmar0" };
const MSI = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
const vfio = (device: string, more: object = {}) => ({
  device,
  iommu: "dmar0",
  group: 1,
  driver: "vfio-pci",
  ...more,
});

/** How BIND of the first device ends on a host with these, and the descriptors that are still open after closing. */
async function bindFirst(...devices: object[]): Promise<string> {
  const session = sessionOn({ iommus: [IOMMU], devices });
  try {
    const iommufd = session.openIommufd();
    return await outcome(() => session.bind(session.openDevice(0), iommufd));
  } finally {
    await session.end();
  }
}

describe("BIND", () => {
  it("of a device whose DMA is not cache-coherent is EINVAL", async () => {
    expect(await bindFirst(vfio("a", { coherent: false }))).toBe("EINVAL");
    expect(await bindFirst(vfio("a"), vfio("b", { coherent: false }))).toBe("OK");
  });

  it("is EPERM where interrupts of any device of the group are not isolated", async () => {
    expect(await bindFirst(vfio("a", { "isolated-msi": false }))).toBe("EPERM");
    expect(await bindFirst(vfio("a"), vfio("b", { "isolated-msi": false }))).toBe("EPERM");
    expect(await bindFirst(vfio("a"), vfio("b", { group: 2, "isolated-msi": false }))).toBe("OK");
  });

  it("is EINVAL where firmware demands a 1:1 mapping for any device of the group", async () => {
    const direct = { regions: [{ start: "0x0", last: "0xfff", type: "direct" }] };
    const relaxable = { regions: [{ start: "0x0", last: "0xfff", type: "direct-relaxable" }] };
    expect(await bindFirst(vfio("a", direct))).toBe("EINVAL");
    expect(await bindFirst(vfio("a"), vfio("b", { ...direct, driver: null }))).toBe("EINVAL");
    expect(await bindFirst(vfio("a"), vfio("b", { ...direct, group: 2 }))).toBe("OK");
    expect(await bindFirst(vfio("a", relaxable), vfio("b", relaxable))).toBe("OK");
    expect(await bindFirst(vfio("a", { regions: [MSI] }))).toBe("OK");
  });

  it.each([
    ["e1000e", "EPERM"],
    ["snd_hda_intel", "EPERM"],
    ["pcieport", "OK"],
    ["pci-stub", "OK"],
    ["mlx5_vfio_pci", "OK"],
    ["vfio-pci", "OK"],
    [null, "OK"],
  ])("with a sibling on the driver %s is %s", async (driver, expected) => {
    expect(await bindFirst(vfio("a"), vfio("b", { driver }))).toBe(expected);
  });
});
