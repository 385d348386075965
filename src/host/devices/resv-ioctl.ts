import type { RangeSet } from "../../ranges/range-set.ts";
import { errnoOf } from "../failures.ts";
import type { HeldDevices } from "./held-devices.ts";

export interface ResvIoctlParts {
  readonly devices: HeldDevices;
  /** Its number; null, and nothing is ever issued. */
  readonly resvIovaRangesIoctl: number | null;
}

/**
 * The proposed IOMMU_RESV_IOVA_RANGES, on kernels that have it. It is issued only by a number that somebody has chosen:
 * what mainline has in its place starts dirty tracking.
 */
export class ResvIoctl {
  readonly #devices: HeldDevices;
  #number: number | null;

  constructor({ devices, resvIovaRangesIoctl }: ResvIoctlParts) {
    this.#devices = devices;
    this.#number = resvIovaRangesIoctl;
  }

  /** Whether it was asked for, and the kernel has not said that it does not know it. */
  get isUsed(): boolean {
    return this.#number !== null;
  }

  /** What it lists for a held device; undefined where the kernel does not answer it. */
  async listed(device: string): Promise<RangeSet | undefined> {
    const held = this.#devices.get(device);
    if (!held || this.#number === null) return undefined;
    try {
      return await held.context.open().resvIovaRanges(this.#number, held.deviceId);
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      // No such command: it will not appear while this kernel runs.
      if (errno === "ENOTTY") this.#number = null;
      return undefined;
    }
  }
}
