import { RangeSet } from "../ranges/range-set.ts";
import { IOMMU_DESTROY, iommu_destroy } from "../uapi/iommufd.ts";
import {
  VFIO_GROUP_FLAGS_VIABLE,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_IOMMU_GET_INFO,
  VFIO_SET_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  vfio_group_status,
  vfio_iommu_type1_info,
} from "../uapi/vfio.ts";
import { iovaRangesOf } from "../uapi/vfio-capabilities.ts";
import type { IovaRanges } from "./iommufd.ts";
import { type Kernel, SystemCallError } from "./kernel.ts";

/** The container of the type1 interface, and its groups, are here when iommufd or a device's cdev is not. */
export const CONTAINER_PATH = "/dev/vfio/vfio";

/** A VFIO group's node, there while a device of the group is bound to a VFIO driver. */
export function groupPath(group: number): string {
  return `/dev/vfio/${group}`;
}

const FIRST_ROOM = 512;
/** A million ranges; what asks for more is no answer. */
const MAX_ROOM = 16 * 1024 * 1024;
const MAX_ATTEMPTS = 16;
/** See VfioContainer.isIommufd. */
const ANSWERS_TO_DESTROY: ReadonlySet<string> = new Set(["ENOENT", "EINVAL", "ENOTTY"]);

/**
 * One open /dev/vfio/GROUP: the typed form of its ioctls. They wait for the group's locks, so all run off the event
 * loop. Every method rejects with SystemCallError as the kernel answers.
 */
export class VfioGroup {
  readonly fd: number;
  readonly #kernel: Kernel;

  private constructor(kernel: Kernel, fd: number) {
    this.#kernel = kernel;
    this.fd = fd;
  }

  /** Throws EBUSY while anybody has the group, or the cdev of one of its devices bound. */
  static open(kernel: Kernel, group: number): VfioGroup {
    return new VfioGroup(kernel, kernel.open(groupPath(group)));
  }

  /** VFIO_GROUP_GET_STATUS: false while a host driver, or another user, owns the DMA of the group. */
  async isViable(): Promise<boolean> {
    const argument = vfio_group_status.encode();
    await this.#kernel.slowIoctl(this.fd, VFIO_GROUP_GET_STATUS, argument);
    return (vfio_group_status.decode(argument).flags & VFIO_GROUP_FLAGS_VIABLE) !== 0;
  }

  /** VFIO_GROUP_SET_CONTAINER: takes the DMA of the whole group; only close() undoes it. */
  async setContainer(container: VfioContainer): Promise<void> {
    const argument = Buffer.alloc(4);
    argument.writeInt32LE(container.fd);
    await this.#kernel.slowIoctl(this.fd, VFIO_GROUP_SET_CONTAINER, argument);
  }

  /** Takes the group out of its container and gives its DMA back. */
  close(): Promise<void> {
    return this.#kernel.close(this.fd);
  }
}

/** One open /dev/vfio/vfio, which maps memory for the groups that are put into it. Rejects as VfioGroup does. */
export class VfioContainer {
  readonly fd: number;
  readonly #kernel: Kernel;

  private constructor(kernel: Kernel, fd: number) {
    this.#kernel = kernel;
    this.fd = fd;
  }

  static open(kernel: Kernel): VfioContainer {
    return new VfioContainer(kernel, kernel.open(CONTAINER_PATH));
  }

  /**
   * Whether iommufd stands in for VFIO's container (CONFIG_IOMMUFD_VFIO_CONTAINER). Such a one knows nothing of a
   * group's devices before they are opened, and would allow everything. Asked by an ioctl that changes nothing: there is
   * no object 0 (ENOENT), and a container has no such command (EINVAL, or ENOTTY with an IOMMU).
   */
  async isIommufd(): Promise<boolean> {
    try {
      await this.#kernel.slowIoctl(this.fd, IOMMU_DESTROY, iommu_destroy.encode({ id: 0 }));
      return true;
    } catch (error) {
      if (!(error instanceof SystemCallError) || !ANSWERS_TO_DESTROY.has(error.code)) throw error;
      return error.code === "ENOENT";
    }
  }

  /** VFIO_SET_IOMMU, type1 version 2: attaches the groups that are in the container. */
  async setIommu(): Promise<void> {
    await this.#kernel.slowIoctl(this.fd, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
  }

  /**
   * VFIO_IOMMU_GET_INFO: what may be mapped, and in which alignment: all that the IOMMU translates, but for the regions
   * of every device of the groups (`drivers/vfio/vfio_iommu_type1.c: vfio_iommu_resv_exclude`). Undefined before Linux
   * 5.4, which does not tell.
   */
  async iovaRanges(): Promise<IovaRanges | undefined> {
    const layout = vfio_iommu_type1_info;
    let room = FIRST_ROOM;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const argument = Buffer.concat([layout.encode({ argsz: room })], room);
      await this.#kernel.slowIoctl(this.fd, VFIO_IOMMU_GET_INFO, argument);
      const { argsz, iova_pgsizes } = layout.decode(argument);
      if (argsz > MAX_ROOM) break;
      if (argsz > room) {
        room = argsz;
        continue;
      }
      const ranges = iovaRangesOf(argument);
      // The lowest bit that is set is the smallest page.
      return ranges && { ranges: RangeSet.from(ranges), alignment: iova_pgsizes & -iova_pgsizes };
    }
    throw new SystemCallError("EMSGSIZE", `ioctl 0x${VFIO_IOMMU_GET_INFO.toString(16)}`);
  }

  close(): Promise<void> {
    return this.#kernel.close(this.fd);
  }
}
