import { formatAddress } from "../ranges/address.ts";
import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";

/** `include/standard-headers/linux/virtio_iommu.h`: VIRTIO_IOMMU_RESV_MEM_T_RESERVED and VIRTIO_IOMMU_RESV_MEM_T_MSI */
const RESERVED = 0;
const MSI = 1;

/**
 * A reserved list in QEMU's text form, for the `reserved-regions` property of virtio-iommu: `0xLOW:0xHIGH:TYPE`,
 * inclusive (`hw/core/qdev-properties-system.c: set_reserved_region`). Ascending; no two overlap, and those of one type
 * do not touch. What lies in an MSI window is of the MSI type, whatever else reserves it.
 */
export function qemuReservedRegions(reserved: RangeSet, msi: Iterable<Range>): string[] {
  const windows = RangeSet.from(msi).intersect(reserved);
  const typed = [
    ...[...windows].map((range) => ({ ...range, type: MSI })),
    ...[...reserved.subtract(windows)].map((range) => ({ ...range, type: RESERVED })),
  ];
  return typed
    .sort((a, b) => (a.start < b.start ? -1 : 1))
    .map(({ start, last, type }) => `${formatAddress(start)}:${formatAddress(last)}:${type}`);
}
