import { RangeSet } from "../ranges/range-set.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_OPTION,
  IOMMU_OPTION_OP_SET,
  IOMMU_OPTION_RLIMIT_MODE,
  iommu_destroy,
  iommu_ioas_alloc,
  iommu_ioas_allow_iovas,
  iommu_ioas_iova_ranges,
  iommu_iova_range,
  iommu_option,
} from "../uapi/iommufd.ts";
import { iommu_resv_iova_ranges } from "../uapi/resv-iova-ranges.ts";
import { type Kernel, type Pointer, SystemCallError } from "./kernel.ts";

/** What the kernel says of one IOAS: which ranges a mapping may use, and the alignment it must have, in bytes. */
export interface IovaRanges {
  readonly ranges: RangeSet;
  readonly alignment: bigint;
}

/** "on-loop": at once, for calls that wait for nothing. "off-loop": in a thread, when a kernel lock may be taken. */
export type Where = "on-loop" | "off-loop";

const FIRST_CAPACITY = 32;
/** An attach can outgrow the array between two calls; more often than this in a row is not chance. */
const MAX_ATTEMPTS = 16;

/** One open /dev/iommu: the typed form of its ioctls. Every method throws SystemCallError as the kernel answers. */
export class Iommufd {
  readonly fd: number;
  readonly #kernel: Kernel;

  /** `fd` is an open /dev/iommu. */
  constructor(kernel: Kernel, fd: number) {
    this.#kernel = kernel;
    this.fd = fd;
  }

  /** Opens a new context with object ids of its own; the caller closes it. */
  static open(kernel: Kernel): Iommufd {
    return new Iommufd(kernel, kernel.open("/dev/iommu"));
  }

  /** The context lives on in the kernel while a device is bound to it. */
  close(): Promise<void> {
    return this.#kernel.close(this.fd);
  }

  /** IOMMU_IOAS_ALLOC: the new IOAS's object id. */
  allocIoas(): number {
    const argument = iommu_ioas_alloc.encode({});
    this.#kernel.ioctl(this.fd, IOMMU_IOAS_ALLOC, argument);
    return iommu_ioas_alloc.decode(argument).out_ioas_id;
  }

  /** IOMMU_DESTROY, for any object but a bound device, which only closing its fd releases. */
  destroy(id: number): void {
    this.#kernel.ioctl(this.fd, IOMMU_DESTROY, iommu_destroy.encode({ id }));
  }

  /**
   * IOMMU_OPTION_RLIMIT_MODE: memory that is pinned by way of this context counts towards the limit (RLIMIT_MEMLOCK)
   * of the process, as with VFIO's type 1, not of all the user's processes together. Before the first object only.
   */
  accountByProcess(): void {
    const argument = iommu_option.encode({
      option_id: IOMMU_OPTION_RLIMIT_MODE,
      op: IOMMU_OPTION_OP_SET,
      val64: 1n,
    });
    this.#kernel.ioctl(this.fd, IOMMU_OPTION, argument);
  }

  /** Whether the id is an IOAS's, and not another object's or nobody's. */
  async hasIoas(id: number): Promise<boolean> {
    const argument = iommu_ioas_iova_ranges.encode({ ioas_id: id });
    return this.#kernel.slowIoctl(this.fd, IOMMU_IOAS_IOVA_RANGES, argument).then(() => true, isThere);
  }

  /** As hasIoas(), at once. */
  isIoas(id: number): boolean {
    try {
      this.#kernel.ioctl(this.fd, IOMMU_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges.encode({ ioas_id: id }));
      return true;
    } catch (error) {
      return isThere(error);
    }
  }

  /** IOMMU_IOAS_IOVA_RANGES. An empty set is an answer: nothing is left to map. */
  async iovaRanges(ioas: number, where: Where = "on-loop"): Promise<IovaRanges> {
    const layout = iommu_ioas_iova_ranges;
    const { argument, ranges } = await this.#readRanges(
      where,
      IOMMU_IOAS_IOVA_RANGES,
      layout,
      layout.fields.allowed_iovas.offset,
      (capacity) => layout.encode({ ioas_id: ioas, num_iovas: capacity }),
    );
    return { ranges, alignment: layout.decode(argument).out_iova_alignment };
  }

  /**
   * IOMMU_IOAS_ALLOW_IOVAS: replaces the whole list, or leaves the old one when it throws. The empty set allows
   * everything. EADDRINUSE: it intersects a reserved range. EINVAL: it has a range of one byte
   * (`drivers/iommu/iommufd/ioas.c: iommufd_ioas_load_iovas`).
   */
  async allowIovas(ioas: number, ranges: RangeSet, where: Where = "on-loop"): Promise<void> {
    const target = iommu_iova_range.encodeArray([...ranges]);
    const argument = iommu_ioas_allow_iovas.encode({ ioas_id: ioas, num_iovas: ranges.size });
    const offset = iommu_ioas_allow_iovas.fields.allowed_iovas.offset;
    const pointers = ranges.isEmpty ? [] : [{ offset, target }];
    await this.#ioctl(where, IOMMU_IOAS_ALLOW_IOVAS, argument, ...pointers);
  }

  /**
   * The proposed IOMMU_RESV_IOVA_RANGES under whatever number a patched kernel gives it: what the IOMMU driver lists
   * for one bound device. Relaxable regions and the aperture are not in it.
   */
  async resvIovaRanges(request: number, deviceId: number): Promise<RangeSet> {
    const layout = iommu_resv_iova_ranges;
    const offset = layout.fields.resv_iovas.offset;
    const { ranges } = await this.#readRanges("on-loop", request, layout, offset, (capacity) =>
      layout.encode({ dev_id: deviceId, num_iovas: capacity }),
    );
    return ranges;
  }

  /**
   * Reads an array with as much room as the kernel asks for. The returned count is the truth, also when it is smaller
   * than what was asked for.
   */
  async #readRanges(
    where: Where,
    request: number,
    layout: { decode(bytes: Uint8Array): { num_iovas: number } },
    offset: number,
    encode: (capacity: number) => Buffer,
  ): Promise<{ argument: Buffer; ranges: RangeSet }> {
    let capacity = FIRST_CAPACITY;
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const argument = encode(capacity);
      const target = Buffer.alloc(capacity * iommu_iova_range.size);
      try {
        await this.#ioctl(where, request, argument, { offset, target });
      } catch (error) {
        if (!(error instanceof SystemCallError) || error.code !== "EMSGSIZE") throw error;
        capacity = layout.decode(argument).num_iovas;
        continue;
      }
      const elements = iommu_iova_range.decodeArray(target, layout.decode(argument).num_iovas);
      return { argument, ranges: RangeSet.from(elements) };
    }
    throw new SystemCallError("EMSGSIZE", `ioctl 0x${request.toString(16)}`);
  }

  #ioctl(where: Where, request: number, argument: Uint8Array, ...pointers: Pointer[]) {
    return where === "on-loop"
      ? this.#kernel.ioctl(this.fd, request, argument, ...pointers)
      : this.#kernel.slowIoctl(this.fd, request, argument, ...pointers);
  }
}

/** Whether an IOAS was refused to tell its ranges only because no room was given for them. Throws what says neither. */
function isThere(error: unknown): boolean {
  if (!(error instanceof SystemCallError)) throw error;
  if (error.code !== "EMSGSIZE" && error.code !== "ENOENT") throw error;
  return error.code === "EMSGSIZE";
}
