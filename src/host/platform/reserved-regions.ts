import type { Range } from "../../ranges/range.ts";

/** One line of a `reserved_regions` file. */
export interface Region extends Range {
  /** `direct`, `direct-relaxable`, `reserved`, `msi`, or whatever other word the kernel uses. */
  readonly type: string;
  /** False where iommufd does not take the range out of an IOAS: `direct-relaxable`, and only that. */
  readonly enforced: boolean;
}

export interface ReservedRegions {
  /** Sorted by start, then last, then type; duplicates dropped; regions of different types may overlap. */
  readonly regions: readonly Region[];
  /** The kernel cuts the file at one page (`sysfs_emit_at`): then there may be regions that it does not show. */
  readonly truncated: boolean;
}

const LINE = /^\s*(0x[0-9a-f]{1,16})\s+(0x[0-9a-f]{1,16})\s+(\S+)\s*$/i;
/** What fits into sysfs's page beside the final NUL (`fs/sysfs/file.c: sysfs_emit_at`), with pages of 4, 16, 64 KiB. */
const FULL_PAGES: ReadonlySet<number> = new Set([4095, 16383, 65535]);

/**
 * Reads the text of `/sys/kernel/iommu_groups/N/reserved_regions`
 * (`drivers/iommu/iommu.c: iommu_group_show_resv_regions`). Its `last` is inclusive. A region of length 0 is printed
 * with `last` below `start` and reserves nothing. `direct` is what the kernel enforces and `direct-relaxable` what it
 * does not: `drivers/iommu/iommufd/io_pagetable.c: iopt_table_enforce_dev_resv_regions`.
 */
export function parseReservedRegions(text: string): ReservedRegions {
  const regions = new Map<string, Region>();
  const isFull = FULL_PAGES.has(text.length);
  const lines = text.split("\n");
  // What is left of a line that was cut can look like a whole one: "direct" of "direct-relaxable".
  if (isFull) lines.pop();
  let unreadable = false;
  for (const line of lines) {
    if (line.trim() === "") continue;
    const [, start, last, type] = LINE.exec(line) ?? [];
    if (start === undefined || last === undefined || type === undefined) {
      unreadable = true;
      continue;
    }
    const region = { start: BigInt(start), last: BigInt(last), type, enforced: type !== "direct-relaxable" };
    if (region.start <= region.last) regions.set(`${region.start} ${region.last} ${type}`, region);
  }
  return {
    regions: [...regions.values()].sort(compareRegions),
    truncated: unreadable || isFull,
  };
}

/** By start, then last, then type. */
export function compareRegions(a: Region, b: Region): number {
  if (a.start !== b.start) return a.start < b.start ? -1 : 1;
  if (a.last !== b.last) return a.last < b.last ? -1 : 1;
  return a.type < b.type ? -1 : Number(a.type > b.type);
}
