import { struct, u16, u32, u64 } from "../../uapi/struct.ts";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_GET_API_VERSION,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_INFO_PGSIZES,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  VFIO_SET_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  vfio_info_cap_header,
  vfio_iommu_type1_info,
  vfio_iommu_type1_info_cap_iova_range,
  vfio_iova_range,
} from "../../uapi/vfio.ts";
import { Errno } from "./errno.ts";
import type { IommuGroup } from "./group.ts";
import { coalesce, holes, type Interval } from "./intervals.ts";
import { OpenFile } from "./open-file.ts";
import type { UserMemory } from "./user-memory.ts";

const ULONG_MAX = (1n << 64n) - 1n;
const VFIO_TYPE1_IOMMU = 1;
const VFIO_TYPE1_NESTING_IOMMU = 6;
const VFIO_UNMAP_ALL = 9;
const VFIO_UPDATE_VADDR = 10;
const EXTENSIONS: ReadonlySet<number> = new Set([
  VFIO_TYPE1_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  VFIO_TYPE1_NESTING_IOMMU,
  VFIO_UNMAP_ALL,
]);

/** The capabilities that Linux lists before the ranges. */
const migration = struct("vfio_iommu_type1_info_cap_migration", 32, {
  id: u16(0),
  version: u16(2),
  next: u32(4),
  flags: u32(8),
  pgsize_bitmap: u64(16),
  max_dirty_bitmap_size: u64(24),
});
const dmaAvailable = struct("vfio_iommu_type1_info_dma_avail", 16, {
  id: u16(0),
  version: u16(2),
  next: u32(4),
  avail: u32(8),
});

/**
 * An open /dev/vfio/vfio with a type1 IOMMU, after `drivers/vfio/container.c` and `vfio_iommu_type1.c` of Linux 6.12:
 * which groups are in it, and what it tells of them. Nothing can be mapped, and domains are not shared between groups.
 */
export class VfioContainer extends OpenFile {
  readonly #groups = new Set<IommuGroup>();
  /** Whether VFIO_SET_IOMMU has been called; it ends with the last group. */
  #hasIommu = false;
  /** PAGE_SIZE, in bytes. */
  readonly #pageSize: number;

  constructor(path: string, pageSize: number) {
    super(path);
    this.#pageSize = pageSize;
  }

  /** A group has been put into the container. Throws what attaching it does, and then it is not in it. */
  add(group: IommuGroup): void {
    if (this.#hasIommu) this.#allowed([...this.#groups, group]);
    this.#groups.add(group);
  }

  remove(group: IommuGroup): void {
    this.#groups.delete(group);
    if (this.#groups.size === 0) this.#hasIommu = false;
  }

  ioctl(request: number, memory: UserMemory): number {
    switch (request) {
      case VFIO_GET_API_VERSION:
        return 0;
      case VFIO_CHECK_EXTENSION:
        return Number(this.#hasExtension(Number(memory.argument)));
      case VFIO_SET_IOMMU:
        return this.#setIommu(Number(memory.argument));
      default:
        if (!this.#hasIommu) throw new Errno("EINVAL");
        if (request !== VFIO_IOMMU_GET_INFO) throw new Errno("ENOTTY");
        return this.#getInfo(memory);
    }
  }

  release(): void {}

  async takeTime<T>(_request: number | "release", call: () => T): Promise<T> {
    return call();
  }

  /** vfio_iommu_type1_check_extension; whether DMA is coherent (VFIO_DMA_CC_IOMMU) is not modelled. */
  #hasExtension(extension: number): boolean {
    return EXTENSIONS.has(extension) || (this.#hasIommu && extension === VFIO_UPDATE_VADDR);
  }

  /** vfio_ioctl_set_iommu: the argument is the type itself. No driver of 6.12 makes a domain for nesting. */
  #setIommu(type: number): number {
    if (this.#groups.size === 0 || this.#hasIommu) throw new Errno("EINVAL");
    if (type === VFIO_TYPE1_NESTING_IOMMU) throw new Errno("EINVAL");
    if (type !== VFIO_TYPE1_IOMMU && type !== VFIO_TYPE1v2_IOMMU) throw new Errno("ENODEV");
    this.#allowed([...this.#groups]);
    this.#hasIommu = true;
    return 0;
  }

  /**
   * vfio_iommu_type1_attach_group, for each of the groups: what all of their IOMMUs translate, but for what any device
   * of theirs reserves. Throws EINVAL when nothing is left, EPERM without isolated MSI.
   */
  #allowed(groups: readonly IommuGroup[]): Interval[] {
    const devices = groups.flatMap((group) => group.devices);
    let [start, last] = [0n, ULONG_MAX];
    for (const { iommu } of devices) {
      if (iommu === null) throw new Errno("EINVAL");
      if (iommu.aperture.start > start) start = iommu.aperture.start;
      if (iommu.aperture.last < last) last = iommu.aperture.last;
    }
    const reserved = devices.flatMap(({ regions }) =>
      regions.filter(({ type }) => type !== "direct-relaxable"),
    );
    const allowed = start > last ? [] : holes(coalesce(reserved), { start, last });
    if (allowed.length === 0) throw new Errno("EINVAL");
    if (!groups.every((group) => group.hasIsolatedMsi)) throw new Errno("EPERM");
    return allowed;
  }

  /** The smallest page of all, but not less than the CPU's (vfio_update_pgsize_bitmap). Larger ones are not modelled. */
  #pageSizes(): bigint {
    const sizes = [...this.#groups].flatMap(({ devices }) =>
      devices.map(({ iommu }) => iommu?.pageSize ?? 0),
    );
    return BigInt(Math.max(this.#pageSize, ...sizes));
  }

  /** vfio_iommu_type1_get_info */
  #getInfo(memory: UserMemory): number {
    const { size, fields } = vfio_iommu_type1_info;
    const leastSize = fields.cap_offset.offset;
    memory.read(memory.argument, leastSize);
    const argsz = memory.readU32(memory.argument);
    if (argsz < leastSize) throw new Errno("EINVAL");
    const capabilities = this.#capabilities(size);
    const needed = size + capabilities.length;
    const fits = argsz >= needed;
    if (fits) memory.write(memory.argument + BigInt(size), capabilities);
    const info = vfio_iommu_type1_info.encode({
      argsz: fits ? argsz : needed,
      flags: VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS,
      iova_pgsizes: this.#pageSizes(),
      cap_offset: fits ? size : 0,
    });
    memory.write(memory.argument, info.subarray(0, Math.min(argsz, size)));
    return 0;
  }

  /** `offset`: of the first from the start of the struct. */
  #capabilities(offset: number): Buffer {
    const ranges = this.#allowed([...this.#groups]).map(({ start, last }) => ({ start, end: last }));
    const second = offset + migration.size;
    const third = second + dmaAvailable.size;
    return Buffer.concat([
      migration.encode({
        id: 2,
        version: 1,
        next: second,
        pgsize_bitmap: this.#pageSizes(),
        max_dirty_bitmap_size: 1n << 28n,
      }),
      dmaAvailable.encode({ id: 3, version: 1, next: third, avail: 0xffff }),
      vfio_info_cap_header.encode({ id: VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, version: 1 }),
      vfio_iommu_type1_info_cap_iova_range
        .encode({ nr_iovas: ranges.length })
        .subarray(vfio_info_cap_header.size),
      vfio_iova_range.encodeArray(ranges),
    ]);
  }
}
