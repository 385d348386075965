import type { Kernel, Pointer } from "../../src/kernel/kernel.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_IOVA_RANGES,
  iommu_destroy,
  iommu_ioas_alloc,
  iommu_ioas_iova_ranges,
  iommu_iova_range,
} from "../../src/uapi/iommufd.ts";
import { cdevOf } from "../conformance/kernel-under-test.ts";
import { outcome } from "../conformance/session.ts";
import { ALL_DEVICES, CONTEXTS, type Step } from "./steps.ts";

declare const WebAssembly: { Memory: new (pages: { initial: number }) => { buffer: ArrayBuffer } };

/** More ranges than the steps can make. */
const ROOM = 40;

/** Plays steps on one kernel, with contexts and open devices of its own. */
export class Player {
  readonly #kernel: Kernel;
  readonly #context: number[];
  readonly #device: number[];
  /** The IOASes in each context, by what was allocated and destroyed. */
  readonly #ioases: Set<number>[];
  /** Page-aligned, as WebAssembly's memory is: where in its page memory begins shows in automatic addresses. */
  readonly #memory = new Uint8Array(new WebAssembly.Memory({ initial: 4 }).buffer);

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#context = Array.from({ length: CONTEXTS }, () => kernel.open("/dev/iommu"));
    this.#ioases = this.#context.map(() => new Set());
    this.#device = ALL_DEVICES.map((name) => kernel.open(cdevOf(kernel, name)));
  }

  async end(): Promise<void> {
    for (const fd of [...this.#device, ...this.#context]) await this.#kernel.close(fd);
  }

  /** What the step gives back, the errno and every byte but for addresses and descriptors; then what all IOASes allow. */
  async play(step: Step) {
    return { ...(await this.#call(step)), ioases: this.#survey() };
  }

  async #call({ on, index, request, argument, pointer, context }: Step) {
    const fds = on === "context" ? this.#context : this.#device;
    const fd = fds[index] ?? -1;
    if (request === "close and open again") {
      await this.#kernel.close(fd);
      fds[index] = this.#kernel.open(
        on === "context" ? "/dev/iommu" : cdevOf(this.#kernel, ALL_DEVICES[index] ?? ""),
      );
      if (on === "context") this.#ioases[index]?.clear();
      return {};
    }
    const bytes = Buffer.from(argument);
    if (context !== undefined) bytes.writeInt32LE(this.#context[context] ?? -1, 8);
    const pointers = pointer ? [this.#own(pointer)] : [];
    const code = await outcome(() => this.#kernel.ioctl(fd, request, bytes, ...pointers));
    if (code === "OK") this.#note(index, request, bytes);
    if (pointer) bytes.fill(0, pointer.offset, pointer.offset + 8);
    if (context !== undefined) bytes.fill(0, 8, 12);
    const target = pointer?.target === "memory" ? undefined : pointers[0]?.target;
    return { code, answer: hex(bytes), ...(target ? { target: hex(target) } : {}) };
  }

  /** The kernel may write into the step's bytes, and the other one is to get the same. */
  #own({ offset, target }: NonNullable<Step["pointer"]>): Pointer {
    return { offset, target: target === "memory" ? this.#memory : Buffer.from(target) };
  }

  #note(context: number, request: number, bytes: Buffer): void {
    if (request === IOMMU_IOAS_ALLOC) this.#ioases[context]?.add(iommu_ioas_alloc.decode(bytes).out_ioas_id);
    if (request === IOMMU_DESTROY) this.#ioases[context]?.delete(iommu_destroy.decode(bytes).id);
  }

  #survey(): string[] {
    return this.#ioases.flatMap((ids, context) =>
      [...ids].map((id) => `${context}:${id} ${this.#read(this.#context[context] ?? -1, id)}`),
    );
  }

  #read(fd: number, ioas_id: number): string {
    const argument = iommu_ioas_iova_ranges.encode({ ioas_id, num_iovas: ROOM });
    const target = Buffer.alloc(ROOM * iommu_iova_range.size);
    try {
      this.#kernel.ioctl(fd, IOMMU_IOAS_IOVA_RANGES, argument, { offset: 16, target });
    } catch (error) {
      return (error as Error).message;
    }
    const { num_iovas, out_iova_alignment } = iommu_ioas_iova_ranges.decode(argument);
    const ranges = iommu_iova_range.decodeArray(target, num_iovas);
    const texts = ranges.map(({ start, last }) => `[0x${start.toString(16)}, 0x${last.toString(16)}]`);
    return `${texts.join(" ")} align 0x${out_iova_alignment.toString(16)}`;
  }
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");
