import { describe, expect, it } from "vitest";
import { IOMMUFD_IOCTLS, IOMMUFD_STRUCTS, MAINLINE_IOMMUFD_IOCTLS } from "../../src/uapi/iommufd.ts";
import { iommu_resv_iova_ranges } from "../../src/uapi/resv-iova-ranges.ts";
import { VFIO_IOCTLS, VFIO_STRUCTS } from "../../src/uapi/vfio.ts";
import { type Figures, figuresFromC } from "./c-figures.ts";
import recorded from "./recorded-figures.json" with { type: "json" };

/** Structs that kernels later than the recorded figures made longer; the members before stay where they are. */
const GROWN = new Set([
  "vfio_device_info",
  "vfio_device_bind_iommufd",
  "vfio_device_attach_iommufd_pt",
  "vfio_device_detach_iommufd_pt",
  "iommu_hwpt_alloc",
  "iommu_hw_info",
]);

const NUMBERS: Readonly<Record<string, number>> = { ...IOMMUFD_IOCTLS, ...VFIO_IOCTLS };
const STRUCTS = [...IOMMUFD_STRUCTS, ...VFIO_STRUCTS];

const installed = figuresFromC(
  Object.keys(NUMBERS),
  Object.fromEntries(STRUCTS.map(({ name, fields }) => [name, Object.keys(fields)])),
);
const known = recorded as unknown as Figures;

/** The table in the form of Figures. */
function layoutOf({ size, fields }: (typeof STRUCTS)[number]) {
  return {
    size,
    fields: Object.fromEntries(
      Object.entries(fields).map(([member, { offset, width }]) => [member, [offset, width]]),
    ),
  };
}

describe("every number", () => {
  it.each(Object.entries(NUMBERS))("%s is what the header says", (name, number) => {
    expect(number).toBe(installed?.numbers[name] ?? known.numbers[name]);
  });

  it("of mainline's iommufd is known as taken", () => {
    const taken = Array.from({ length: 0x15 }, (_, n) => 0x3b80 + n);
    expect([...MAINLINE_IOMMUFD_IOCTLS]).toEqual([...taken, 0x3ba0]);
  });
});

describe("every struct", () => {
  it.each(STRUCTS.map((table) => [table.name, table] as const))(
    "%s has the recorded layout",
    (name, table) => {
      expect(layoutOf(table)).toEqual(known.structs[name]);
    },
  );

  it.each(STRUCTS.map((table) => [table.name, table] as const))(
    "%s has the layout that the installed header has, as far as there is one",
    (name, table) => {
      const theirs = installed?.structs[name] ?? known.structs[name];
      expect(theirs).toBeDefined();
      const ours = layoutOf(table);
      // A header may be older (members missing at the end) or newer (the struct has grown).
      expect(ours.fields).toMatchObject(theirs?.fields ?? {});
      if (!GROWN.has(name)) expect(ours.size).toBe(theirs?.size);
    },
  );

  it("has no two members that overlap, and none beyond its end", () => {
    for (const { name, size, fields } of [...STRUCTS, iommu_resv_iova_ranges]) {
      let free = 0;
      for (const { offset, width } of Object.values(fields).sort((a, b) => a.offset - b.offset)) {
        expect(offset, name).toBeGreaterThanOrEqual(free);
        expect(offset % width, name).toBe(0);
        free = offset + width;
      }
      expect(free, name).toBeLessThanOrEqual(size);
    }
  });
});
