import type { TopologyRegion } from "./topology.ts";

/** `include/linux/iommu.h: enum iommu_resv_type`; unknown words come last. */
const TYPE_ORDER: readonly string[] = ["direct", "direct-relaxable", "reserved", "msi"];

/**
 * The text of a group's `reserved_regions`, given its devices' regions: their union by the rules of
 * `drivers/iommu/iommu.c: iommu_insert_resv_region` and `iommu_group_show_resv_regions`. At most a page,
 * cut in the middle of a line: `fs/sysfs/file.c: sysfs_emit_at` keeps its last byte for a NUL. `isFull`: it is
 * that long in any case, since some of the lines are not known.
 */
export function reservedRegionsText(
  regionsOfDevices: readonly (readonly TopologyRegion[])[],
  { pageSize = 4096, isFull = false }: { readonly pageSize?: number; readonly isFull?: boolean } = {},
): string {
  const union = regionsOfDevices.flat().reduce(insertRegion, []);
  const lines = union.map(({ start, last, type }) => `${hex(start)} ${hex(last)} ${type}\n`);
  const text = lines.join("").slice(0, pageSize - 1);
  return isFull ? text.padEnd(pageSize - 1, "\n") : text;
}

/** Sorted by start, then type; regions of one type that overlap or touch become one. */
function insertRegion(regions: readonly TopologyRegion[], region: TopologyRegion): TopologyRegion[] {
  const before = (other: TopologyRegion) =>
    region.start < other.start || (region.start === other.start && order(region) <= order(other));
  const index = regions.findIndex(before);
  const sorted = index === -1 ? [...regions, region] : regions.toSpliced(index, 0, region);

  const merged: TopologyRegion[] = [];
  for (const next of sorted) {
    const top = next.type === region.type ? merged.findLastIndex(({ type }) => type === next.type) : -1;
    const below = merged[top];
    // In 64 bits: nothing merges into a region that ends at the top of the address space.
    if (below === undefined || next.start > BigInt.asUintN(64, below.last + 1n)) merged.push(next);
    else if (next.last > below.last) merged[top] = { ...below, last: next.last };
  }
  return merged;
}

const order = ({ type }: TopologyRegion) => TYPE_ORDER.indexOf(type) >>> 0;
const hex = (address: bigint) => `0x${address.toString(16).padStart(16, "0")}`;
