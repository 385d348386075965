import {
  VFIO_GROUP_FLAGS_CONTAINER_SET,
  VFIO_GROUP_FLAGS_VIABLE,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  vfio_group_status,
} from "../../uapi/vfio.ts";
import { Errno } from "./errno.ts";
import type { IommuGroup } from "./group.ts";
import { OpenFile } from "./open-file.ts";
import type { UserMemory } from "./user-memory.ts";
import { VfioContainer } from "./vfio-container.ts";

/**
 * What an IOMMU group is to VFIO while a VFIO driver is bound to any of its devices, after `drivers/vfio/group.c`. Its
 * file and the cdevs of its devices exclude each other.
 */
export class VfioGroup {
  /** Null once the last device has left its VFIO driver: the file, if it is open, is of no use then. */
  iommuGroup: IommuGroup | null;
  /** The devices on a VFIO driver. */
  drivers = 0;
  /** How many cdevs of its devices are bound. */
  boundCdevs = 0;
  isOpen = false;
  container: VfioContainer | null = null;

  constructor(group: IommuGroup) {
    this.iommuGroup = group;
  }

  /** vfio_device_block_group. Throws EBUSY. */
  block(): void {
    if (this.isOpen) throw new Errno("EBUSY");
    this.boundCdevs++;
  }

  /** vfio_device_unblock_group */
  unblock(): void {
    this.boundCdevs--;
  }

  /** vfio_group_detach_container */
  leaveContainer(): void {
    if (this.container === null || this.iommuGroup === null) return;
    this.container.remove(this.iommuGroup);
    this.iommuGroup.releaseDma();
    this.container = null;
  }

  /** The last part of vfio_device_remove_group: no device of the group is left to VFIO. */
  revoke(): void {
    this.leaveContainer();
    this.iommuGroup = null;
  }
}

/** An open /dev/vfio/GROUP. GET_DEVICE_FD and UNSET_CONTAINER answer ENOTTY, an iommufd as container EBADFD. */
export class VfioGroupFile extends OpenFile {
  readonly #group: VfioGroup;
  readonly #fileOf: (fd: number) => OpenFile;

  /** `fileOf` finds the file of a descriptor, or throws EBADF. Throws EBUSY (vfio_group_fops_open). */
  constructor(path: string, group: VfioGroup, fileOf: (fd: number) => OpenFile) {
    super(path);
    if (group.boundCdevs > 0 || group.isOpen) throw new Errno("EBUSY");
    this.#group = group;
    this.#fileOf = fileOf;
    group.isOpen = true;
  }

  ioctl(request: number, memory: UserMemory): number {
    if (request === VFIO_GROUP_GET_STATUS) return this.#getStatus(memory);
    if (request === VFIO_GROUP_SET_CONTAINER) return this.#setContainer(memory);
    throw new Errno("ENOTTY");
  }

  release(): void {
    this.#group.leaveContainer();
    this.#group.isOpen = false;
  }

  async takeTime<T>(_request: number | "release", call: () => T): Promise<T> {
    return call();
  }

  /** vfio_group_ioctl_get_status */
  #getStatus(memory: UserMemory): number {
    const { argument } = memory;
    const { size, fields } = vfio_group_status;
    const { argsz } = vfio_group_status.decode(memory.read(argument, size));
    if (argsz < size) throw new Errno("EINVAL");
    const { iommuGroup, container } = this.#group;
    if (iommuGroup === null) throw new Errno("ENODEV");
    const viable = container !== null || !iommuGroup.isDmaClaimed ? VFIO_GROUP_FLAGS_VIABLE : 0;
    const set = container === null ? 0 : VFIO_GROUP_FLAGS_CONTAINER_SET;
    memory.writeU32(argument + BigInt(fields.flags.offset), viable | set);
    return 0;
  }

  /** vfio_group_ioctl_set_container, vfio_container_attach_group */
  #setContainer(memory: UserMemory): number {
    const file = this.#fileOf(memory.readU32(memory.argument) | 0);
    const group = this.#group;
    if (group.container !== null) throw new Errno("EINVAL");
    if (group.iommuGroup === null) throw new Errno("ENODEV");
    if (!(file instanceof VfioContainer)) throw new Errno("EBADFD");
    // By group there is one owner only, and whoever comes second is refused.
    if (group.iommuGroup.isDmaClaimed) throw new Errno("EPERM");
    group.iommuGroup.claimDma(group);
    try {
      file.add(group.iommuGroup);
    } catch (error) {
      group.iommuGroup.releaseDma();
      throw error;
    }
    group.container = file;
    return 0;
  }
}
