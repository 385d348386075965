import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  vfio_device_bind_iommufd,
  vfio_device_detach_iommufd_pt,
} from "../uapi/vfio.ts";
import type { Kernel } from "./kernel.ts";

/**
 * One open VFIO cdev: the typed form of its ioctls. All of them may reset or reprogram hardware, so all run off the
 * event loop. Every method rejects with SystemCallError as the kernel answers.
 */
export class VfioDevice {
  readonly fd: number;
  readonly #kernel: Kernel;

  private constructor(kernel: Kernel, fd: number) {
    this.#kernel = kernel;
    this.fd = fd;
  }

  /** Opens `/dev/vfio/devices/NAME`. Unbound, the descriptor is inert. */
  static open(kernel: Kernel, name: string): VfioDevice {
    return new VfioDevice(kernel, kernel.open(`/dev/vfio/devices/${name}`));
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

  /** Detaches and unbinds, if this is the last descriptor of the open file. */
  close(): Promise<void> {
    return this.#kernel.close(this.fd);
  }
}
