import { formatAddress } from "../ranges/address.ts";
import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import { STEP, type Steps } from "../ranges/steps.ts";

/** `include/standard-headers/linux/virtio_iommu.h`: VIRTIO_IOMMU_RESV_MEM_T_RESERVED and VIRTIO_IOMMU_RESV_MEM_T_MSI */
const RESERVED = 0;
const MSI = 1;

/** As {@link eachReservedRegion}, in a list. */
export function* qemuReservedRegions(reserved: RangeSet, msi: readonly Range[]): Steps<string[]> {
  const parts: string[] = [];
  yield* eachReservedRegion(reserved, msi, (region) => parts.push(region));
  return parts;
}

/**
 * Tells `add` a reserved list in QEMU's text form, for the `reserved-regions` property of virtio-iommu: `0xLOW:0xHIGH:TYPE`,
 * inclusive (`hw/core/qdev-properties-system.c: set_reserved_region`). Ascending; no two overlap, and those of one type
 * do not touch. What lies in an MSI window is of the MSI type, whatever else reserves it.
 */
export function* eachReservedRegion(
  reserved: RangeSet,
  msi: readonly Range[],
  add: (region: string) => void,
): Steps<void> {
  const windows = yield* RangeSet.fromInSteps(msi);
  for (let i = 0; i < reserved.size; i++) {
    if (i % STEP === 0) yield;
    const { start, last } = reserved.at(i);
    let next = start;
    for (const window of windows.cut({ start, last })) {
      if (window.start > next) add(part(next, window.start - 1n, RESERVED));
      add(part(window.start, window.last, MSI));
      next = window.last + 1n;
    }
    if (next <= last) add(part(next, last, RESERVED));
  }
}

function part(start: bigint, last: bigint, type: number): string {
  return `${formatAddress(start)}:${formatAddress(last)}:${type}`;
}
