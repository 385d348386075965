import type { RangeSet } from "../../ranges/range-set.ts";
import type { Tell } from "../changes.ts";
import { errnoOf } from "../failures.ts";
import type { HeldDevices } from "./held-devices.ts";

export interface ResvIoctlParts {
  readonly devices: HeldDevices;
  readonly tell: Tell;
  /** Its number; null, and nothing is ever issued. */
  readonly resvIovaRangesIoctl: number | null;
}

/**
 * The proposed IOMMU_RESV_IOVA_RANGES, on kernels that have it. It is issued only by a number that somebody has chosen:
 * what mainline has in its place starts dirty tracking.
 */
export class ResvIoctl {
  readonly #devices: HeldDevices;
  readonly #tell: Tell;
  #number: number | null;

  constructor({ devices, tell, resvIovaRangesIoctl }: ResvIoctlParts) {
    this.#devices = devices;
    this.#tell = tell;
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
      if (errno === "ENOTTY") this.#giveUp();
      return undefined;
    }
  }

  /** No such command: it will not appear while this kernel runs. */
  #giveUp(): void {
    if (this.#number === null) return;
    this.#tell({ event: "RESV_IOCTL_UNKNOWN", number: `0x${this.#number.toString(16)}` });
    this.#number = null;
  }
}
