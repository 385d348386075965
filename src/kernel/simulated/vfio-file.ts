import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_FLAGS_PLATFORM,
  VFIO_DEVICE_FLAGS_RESET,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_SET_IRQS,
  vfio_device_attach_iommufd_pt,
  vfio_device_bind_iommufd,
  vfio_device_detach_iommufd_pt,
  vfio_device_info,
} from "../../uapi/vfio.ts";
import { Errno } from "./errno.ts";
import { Iommufd } from "./iommufd.ts";
import type { BoundDevice } from "./objects.ts";
import { OpenFile } from "./open-file.ts";
import { setIrqs } from "./request-interrupt.ts";
import type { UserMemory } from "./user-memory.ts";
import type { VfioDevice } from "./vfio-device.ts";

/** `include/uapi/linux/vfio.h`: VFIO_PCI_NUM_REGIONS and VFIO_PCI_NUM_IRQS. */
const PCI_REGIONS = 9;
const PCI_IRQS = 5;

interface Binding {
  readonly iommufd: Iommufd;
  readonly device: BoundDevice;
}

/**
 * An open /dev/vfio/devices/vfioN, after `drivers/vfio/device_cdev.c`, `vfio_main.c`, `iommufd.c` and
 * `pci/vfio_pci_core.c` of Linux 6.12. Regions, most interrupts and the rest of a device's use answer ENOTTY.
 */
export class VfioFile extends OpenFile {
  readonly #vfio: VfioDevice;
  readonly #fileOf: (fd: number) => OpenFile;
  #bound: Binding | undefined;

  /** `fileOf` finds the file of a descriptor, or throws EBADF. */
  constructor(path: string, vfio: VfioDevice, fileOf: (fd: number) => OpenFile) {
    super(path);
    this.#vfio = vfio;
    this.#fileOf = fileOf;
    vfio.opened();
  }

  ioctl(request: number, memory: UserMemory): number {
    if (request === VFIO_DEVICE_BIND_IOMMUFD) return this.#bind(memory);
    if (this.#bound === undefined) throw new Errno("EINVAL");
    switch (request) {
      case VFIO_DEVICE_ATTACH_IOMMUFD_PT:
        return this.#attach(memory, this.#bound);
      case VFIO_DEVICE_DETACH_IOMMUFD_PT:
        return this.#detach(memory, this.#bound);
      case VFIO_DEVICE_GET_INFO:
        return this.#getInfo(memory);
      case VFIO_DEVICE_SET_IRQS:
        return setIrqs(this.#vfio, this.#interrupts, memory, this.#fileOf);
      default:
        throw new Errno("ENOTTY");
    }
  }

  release(): void {
    if (this.#bound !== undefined) {
      this.#bound.iommufd.unbind(this.#bound.device);
      this.#bound = undefined;
      this.#vfio.isBound = false;
      this.#vfio.requestTrigger = null;
      this.#vfio.group.unblock();
    }
    this.#vfio.closed();
  }

  takeTime<T>(request: number | "release", call: () => T): Promise<T> {
    const { bind, attach, detach, close } = this.#vfio.device.latency;
    if (request === "release") return this.#bound ? this.#vfio.inTurn(close, call) : Promise.resolve(call());
    const latency = new Map([
      [VFIO_DEVICE_BIND_IOMMUFD, bind],
      [VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach],
      [VFIO_DEVICE_DETACH_IOMMUFD_PT, detach],
    ] as [number, number][]);
    return this.#vfio.inTurn(latency.get(request) ?? 0, call);
  }

  /** vfio_df_ioctl_bind_iommufd */
  #bind(memory: UserMemory): number {
    const { argument } = memory;
    const { size, fields } = vfio_device_bind_iommufd;
    const { argsz, flags, iommufd: fd } = vfio_device_bind_iommufd.decode(memory.read(argument, size));
    if (argsz < size || flags !== 0 || fd < 0) throw new Errno("EINVAL");
    const { group } = this.#vfio;
    group.block();
    try {
      if (this.#bound !== undefined) throw new Errno("EINVAL");
      const iommufd = this.#fileOf(fd);
      if (!(iommufd instanceof Iommufd)) throw new Errno("EBADFD");
      // vfio_df_open: by cdev, a device is in use once.
      if (this.#vfio.isBound) throw new Errno("EINVAL");
      this.#bound = { iommufd, device: iommufd.bind(this.#vfio.device) };
    } catch (error) {
      group.unblock();
      throw error;
    }
    this.#vfio.isBound = true;
    memory.writeU32(argument + BigInt(fields.out_devid.offset), this.#bound.device.id);
    return 0;
  }

  /** How many kinds of interrupts the device has. */
  get #interrupts(): number {
    return this.#vfio.device.isPci ? PCI_IRQS : 0;
  }

  /** vfio_df_ioctl_attach_pt */
  #attach(memory: UserMemory, { iommufd, device }: Binding): number {
    const { argument } = memory;
    const { size, fields } = vfio_device_attach_iommufd_pt;
    const { argsz, flags, pt_id } = vfio_device_attach_iommufd_pt.decode(memory.read(argument, size));
    if (argsz < size || flags !== 0) throw new Errno("EINVAL");
    memory.writeU32(argument + BigInt(fields.pt_id.offset), iommufd.attach(device, pt_id));
    return 0;
  }

  /** vfio_df_ioctl_detach_pt */
  #detach(memory: UserMemory, { iommufd, device }: Binding): number {
    const { size } = vfio_device_detach_iommufd_pt;
    const { argsz, flags } = vfio_device_detach_iommufd_pt.decode(memory.read(memory.argument, size));
    if (argsz < size || flags !== 0) throw new Errno("EINVAL");
    iommufd.detach(device);
    return 0;
  }

  /** vfio_pci_ioctl_get_info */
  #getInfo(memory: UserMemory): number {
    const leastSize = vfio_device_info.fields.cap_offset.offset;
    memory.read(memory.argument, leastSize);
    const argsz = memory.readU32(memory.argument);
    if (argsz < leastSize) throw new Errno("EINVAL");
    const { isPci } = this.#vfio.device;
    const info = vfio_device_info.encode({
      argsz,
      flags: VFIO_DEVICE_FLAGS_RESET | (isPci ? VFIO_DEVICE_FLAGS_PCI : VFIO_DEVICE_FLAGS_PLATFORM),
      num_regions: isPci ? PCI_REGIONS : 0,
      num_irqs: this.#interrupts,
    });
    memory.write(memory.argument, info.subarray(0, Math.min(argsz, info.length)));
    return 0;
  }
}
