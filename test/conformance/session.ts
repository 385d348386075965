import type { Kernel, Pointer } from "../../src/kernel/kernel.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_FIXED_IOVA,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_MAP_WRITEABLE,
  iommu_destroy,
  iommu_ioas_alloc,
  iommu_ioas_allow_iovas,
  iommu_ioas_iova_ranges,
  iommu_ioas_map,
  iommu_iova_range,
} from "../../src/uapi/iommufd.ts";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  vfio_device_attach_iommufd_pt,
  vfio_device_bind_iommufd,
  vfio_device_detach_iommufd_pt,
} from "../../src/uapi/vfio.ts";
import { currentPlatform, type Pair } from "./platforms.ts";

export type { Pair };

export const U64_MAX = (1n << 64n) - 1n;
export const EVERYTHING: Pair[] = [[0n, U64_MAX]];
/** What is left with a device attached, and what is not. */
export const ATTACHED = [...currentPlatform().allowed];
export const REPLACED = [...(currentPlatform().allowedAfterReplace ?? ATTACHED)];
export const EXCLUDED = [...currentPlatform().excluded];
export const [MSI_START, MSI_LAST] = currentPlatform().excluded[0];
/** In bytes. */
export const PAGE = BigInt(currentPlatform().pageSize);

/** The name of the errno that `call` fails with, or "OK". */
export async function outcome(call: () => unknown): Promise<string> {
  try {
    await call();
    return "OK";
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (typeof code !== "string") throw error;
    return code;
  }
}

/** One test's use of the kernel: the calls with their structs, and every descriptor it opens, for `end` to close. */
export class Session {
  readonly kernel: Kernel;
  readonly devices: readonly [string, string];
  readonly #open: number[] = [];

  constructor(kernel: Kernel, devices: readonly [string, string]) {
    this.kernel = kernel;
    this.devices = devices;
  }

  /** Closes everything, so that the next test finds the devices free whatever became of this one. */
  async end(): Promise<void> {
    for (const fd of this.#open.splice(0).reverse()) await this.kernel.close(fd);
  }

  open(path: string): number {
    const fd = this.kernel.open(path);
    this.#open.push(fd);
    return fd;
  }

  openIommufd(): number {
    return this.open("/dev/iommu");
  }

  openDevice(index: 0 | 1): number {
    return this.open(this.devices[index]);
  }

  async close(fd: number): Promise<void> {
    this.#open.splice(this.#open.indexOf(fd), 1);
    await this.kernel.close(fd);
  }

  ioctl(fd: number, request: number, argument: Uint8Array, ...pointers: Pointer[]): number {
    return this.kernel.ioctl(fd, request, argument, ...pointers);
  }

  allocIoas(iommufd: number): number {
    const argument = iommu_ioas_alloc.encode();
    this.ioctl(iommufd, IOMMU_IOAS_ALLOC, argument);
    return iommu_ioas_alloc.decode(argument).out_ioas_id;
  }

  destroy(iommufd: number, id: number): void {
    this.ioctl(iommufd, IOMMU_DESTROY, iommu_destroy.encode({ id }));
  }

  /** IOVA_RANGES with ample room. */
  ranges(iommufd: number, ioas: number): Pair[] {
    return this.rangesAndAlignment(iommufd, ioas).ranges;
  }

  rangesAndAlignment(iommufd: number, ioas: number): { ranges: Pair[]; alignment: bigint } {
    const argument = iommu_ioas_iova_ranges.encode({ ioas_id: ioas, num_iovas: 16 });
    const target = Buffer.alloc(16 * iommu_iova_range.size);
    this.ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, argument, {
      offset: iommu_ioas_iova_ranges.fields.allowed_iovas.offset,
      target,
    });
    const { num_iovas, out_iova_alignment } = iommu_ioas_iova_ranges.decode(argument);
    const ranges = iommu_iova_range.decodeArray(target, num_iovas);
    return { ranges: ranges.map(({ start, last }) => [start, last]), alignment: out_iova_alignment };
  }

  allow(iommufd: number, ioas: number, ranges: readonly Pair[]): void {
    const target = iommu_iova_range.encodeArray(ranges.map(([start, last]) => ({ start, last })));
    const argument = iommu_ioas_allow_iovas.encode({ ioas_id: ioas, num_iovas: ranges.length });
    const offset = iommu_ioas_allow_iovas.fields.allowed_iovas.offset;
    this.ioctl(iommufd, IOMMU_IOAS_ALLOW_IOVAS, argument, ...(ranges.length > 0 ? [{ offset, target }] : []));
  }

  /** Maps memory of the test's own at `iova`, or where the kernel likes, and returns where. */
  map(iommufd: number, ioas: number, iova: bigint | undefined, memory: Uint8Array): bigint {
    const argument = iommu_ioas_map.encode({
      flags:
        IOMMU_IOAS_MAP_READABLE |
        IOMMU_IOAS_MAP_WRITEABLE |
        (iova === undefined ? 0 : IOMMU_IOAS_MAP_FIXED_IOVA),
      ioas_id: ioas,
      length: BigInt(memory.length),
      iova: iova ?? 0n,
    });
    const offset = iommu_ioas_map.fields.user_va.offset;
    this.ioctl(iommufd, IOMMU_IOAS_MAP, argument, { offset, target: memory });
    return iommu_ioas_map.decode(argument).iova;
  }

  /** Returns the device's id. */
  async bind(device: number, iommufd: number): Promise<number> {
    const argument = vfio_device_bind_iommufd.encode({ iommufd });
    await this.kernel.slowIoctl(device, VFIO_DEVICE_BIND_IOMMUFD, argument);
    return vfio_device_bind_iommufd.decode(argument).out_devid;
  }

  /** Returns the id of the hwpt that the device is attached to. */
  async attach(device: number, id: number): Promise<number> {
    const argument = vfio_device_attach_iommufd_pt.encode({ pt_id: id });
    await this.kernel.slowIoctl(device, VFIO_DEVICE_ATTACH_IOMMUFD_PT, argument);
    return vfio_device_attach_iommufd_pt.decode(argument).pt_id;
  }

  async detach(device: number): Promise<void> {
    await this.kernel.slowIoctl(
      device,
      VFIO_DEVICE_DETACH_IOMMUFD_PT,
      vfio_device_detach_iommufd_pt.encode(),
    );
  }
}
