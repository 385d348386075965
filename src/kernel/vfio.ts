import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_SET_IRQS,
  VFIO_IRQ_SET_ACTION_TRIGGER,
  VFIO_IRQ_SET_DATA_EVENTFD,
  VFIO_PCI_REQ_IRQ_INDEX,
  vfio_device_attach_iommufd_pt,
  vfio_device_bind_iommufd,
  vfio_device_detach_iommufd_pt,
  vfio_device_info,
  vfio_irq_set,
} from "../uapi/vfio.ts";
import { ifPossible, type Kernel } from "./kernel.ts";

/**
 * One open VFIO cdev: the typed form of its ioctls. All of them may reset or reprogram hardware, so all run off the
 * event loop. Every method rejects with SystemCallError as the kernel answers.
 */
export class VfioDevice {
  readonly fd: number;
  readonly #kernel: Kernel;
  #eventfd: number | null = null;
  #closing: Promise<void> | null = null;

  /** `fd` is an open cdev. */
  constructor(kernel: Kernel, fd: number) {
    this.#kernel = kernel;
    this.fd = fd;
  }

  /** Opens `/dev/vfio/devices/NAME`. Unbound, the descriptor is inert. */
  static open(kernel: Kernel, name: string): VfioDevice {
    return new VfioDevice(kernel, kernel.open(`/dev/vfio/devices/${name}`));
  }

  /** What the kernel signals to have the device back, if it was asked to. */
  get eventfd(): number | null {
    return this.#eventfd;
  }

  /** Whether the descriptor is a bound cdev's: no other answers VFIO_DEVICE_GET_INFO (`vfio_device_fops_unl_ioctl`). */
  get isBound(): boolean {
    const info = vfio_device_info.encode({ argsz: vfio_device_info.size });
    return ifPossible(() => this.#kernel.ioctl(this.fd, VFIO_DEVICE_GET_INFO, info)) !== undefined;
  }

  /** Binds to a context, once per open; only close() undoes it. The device's object id in that context. */
  async bind(iommufd: number): Promise<number> {
    const argument = vfio_device_bind_iommufd.encode({ iommufd });
    await this.#kernel.slowIoctl(this.fd, VFIO_DEVICE_BIND_IOMMUFD, argument);
    return vfio_device_bind_iommufd.decode(argument).out_devid;
  }

  /** Attaches to an IOAS, or moves there from another one, together with every attached sibling of the group. */
  async attach(ioas: number): Promise<void> {
    const argument = vfio_device_attach_iommufd_pt.encode({ pt_id: ioas });
    await this.#kernel.slowIoctl(this.fd, VFIO_DEVICE_ATTACH_IOMMUFD_PT, argument);
  }

  /** Back to blocked DMA; without an attachment it does nothing. */
  async detach(): Promise<void> {
    await this.#kernel.slowIoctl(
      this.fd,
      VFIO_DEVICE_DETACH_IOMMUFD_PT,
      vfio_device_detach_iommufd_pt.encode({}),
    );
  }

  /**
   * VFIO_DEVICE_SET_IRQS: calls `requested` when a driver's unbind, or the removal of the device, has begun to wait for
   * close(), and again every ten seconds (`drivers/vfio/vfio_main.c: vfio_unregister_group_dev`). For a bound PCI
   * device, once. Throws SystemCallError.
   */
  onRequest(requested: () => void): void {
    const eventfd = this.#kernel.eventfd(requested);
    const data = Buffer.alloc(4);
    data.writeInt32LE(eventfd);
    const argument = vfio_irq_set.encode({
      argsz: vfio_irq_set.size + data.length,
      flags: VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
      index: VFIO_PCI_REQ_IRQ_INDEX,
      count: 1,
    });
    this.#eventfd = eventfd;
    this.#kernel.ioctl(this.fd, VFIO_DEVICE_SET_IRQS, Buffer.concat([argument, data]));
  }

  /** Detaches and unbinds, if this is the last descriptor of the open file. Once: its number may be another file's then. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    try {
      await this.#kernel.close(this.fd);
    } finally {
      if (this.#eventfd !== null) await this.#kernel.close(this.#eventfd).catch(() => undefined);
    }
  }
}
