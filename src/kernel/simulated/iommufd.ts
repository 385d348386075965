import { attach, detach } from "./attachment.ts";
import type { Device } from "./device.ts";
import { Errno } from "./errno.ts";
import { type Command, commandsOf } from "./iommufd-commands.ts";
import { BoundDevice, GroupAttachment, ObjectTable } from "./objects.ts";
import { OpenFile } from "./open-file.ts";
import type { Topology } from "./topology.ts";
import type { UserMemory } from "./user-memory.ts";

/** The numbers among which Linux 6.12 looks for a command only after it has read `size`. */
const FIRST_NUMBER = 0x80;
const LAST_NUMBER = 0x8e;

/**
 * One open /dev/iommu, after `drivers/iommu/iommufd/main.c` of Linux 6.12: the dispatcher's rules, and the objects.
 *
 * Of its commands, COPY, VFIO_IOAS, HWPT_ALLOC, GET_HW_INFO, dirty tracking, HWPT_INVALIDATE and FAULT_QUEUE_ALLOC
 * answer ENOTTY here, as do the VFIO numbers by which Linux lets an iommufd pass for a VFIO container.
 */
export class Iommufd extends OpenFile {
  readonly objects = new ObjectTable();
  /** The value of IOMMU_OPTION_RLIMIT_MODE. */
  rlimitMode = 0n;
  readonly pageSize: number;
  readonly #attachments = new Map<number, GroupAttachment>();
  readonly #commands: ReadonlyMap<number, Command>;

  constructor(path: string, kernel: Topology["kernel"]) {
    super(path);
    this.pageSize = kernel.pageSize;
    this.#commands = commandsOf(kernel);
  }

  ioctl(request: number, memory: UserMemory): number {
    const command = this.#commands.get(request);
    const number = request & 0xff;
    if (!command && (number < FIRST_NUMBER || number > LAST_NUMBER)) throw new Errno("ENOTTY");
    const userSize = memory.readU32(memory.argument);
    if (command === undefined) throw new Errno("ENOTTY");
    if (userSize < command.size) throw new Errno("EINVAL");
    const struct = memory.copyStruct(command.size, userSize);
    command.execute(this, struct, memory);
    return 0;
  }

  /**
   * Takes ownership of the device (device.c: iommufd_device_bind). The bound device holds a reference on this file.
   * Throws EINVAL without cache-coherent DMA, ENODEV without a group, EPERM without isolated MSI, and what
   * claiming the group throws.
   */
  bind(device: Device): BoundDevice {
    if (!device.coherent) throw new Errno("EINVAL");
    const { group } = device;
    if (group === null) throw new Errno("ENODEV");
    if (!group.hasIsolatedMsi) throw new Errno("EPERM");
    group.claimDma(this);
    const attachment = this.#attachments.get(group.id) ?? new GroupAttachment();
    this.#attachments.set(group.id, attachment);
    this.get();
    // The second user is the driver: DESTROY cannot undo a bind.
    return Object.assign(
      this.objects.add((id) => new BoundDevice(id, device, attachment)),
      { users: 2 },
    );
  }

  /** device.c: iommufd_device_attach and _replace; see there for what it throws. */
  attach(bound: BoundDevice, id: number): number {
    return attach(this.objects, bound, id);
  }

  /** Does nothing for a device that is not attached. */
  detach(bound: BoundDevice): void {
    if (bound.attachment.devices.includes(bound)) detach(this.objects, bound);
  }

  /** Detaches and gives the device back (device.c: iommufd_device_unbind). */
  unbind(bound: BoundDevice): void {
    this.detach(bound);
    this.objects.remove(bound);
    bound.device.group?.releaseDma();
    if (this.put()) this.release();
  }

  /** All that is left are IOASes: a bound device would hold a reference. They vanish with this object. */
  release(): void {}

  async takeTime<T>(_request: number | "release", call: () => T): Promise<T> {
    return call();
  }
}
