import type { IovaRanges } from "../../kernel/iommufd.ts";
import type { Range } from "../../ranges/range.ts";
import type { Blocker } from "../platform/blockers.ts";
import type { PlatformDevice } from "../platform/platform.ts";

/** The kernel interface that told ranges or an aperture. */
export type Backend = "iommufd" | "vfio-type1";

/** What the kernel told of a device that was alone in an IOAS. */
export interface Learnt extends IovaRanges {
  readonly source: "probe" | "ioas";
  readonly backend: Backend;
  readonly aperture: Range | null;
  readonly device: PlatformDevice;
}

/** Why the kernel has refused a device. */
export interface Refusal {
  readonly device: PlatformDevice;
  readonly blocker: Blocker;
}

/** Keeps lessons for a later life; null: it does not hold any more. */
export interface LearntRecorder {
  learnt(device: string, learnt: Learnt | null): void;
  refusal(device: string, refusal: Refusal | null): void;
}

/**
 * What only the kernel could tell of each device, kept until the device is seen on another driver, or to be another one.
 */
export class LearntByDevice {
  readonly #learnt = new Map<string, Learnt>();
  readonly #byIommu = new Map<string, Map<string, Learnt>>();
  readonly #refusals = new Map<string, Refusal>();
  readonly #dropped: (learnt: Learnt) => void;
  readonly #recorder: LearntRecorder;

  /** `dropped` is called when something that was learnt does not hold any more. */
  constructor(dropped: (learnt: Learnt) => void, recorder: LearntRecorder) {
    this.#dropped = dropped;
    this.#recorder = recorder;
  }

  set(learnt: Learnt): void {
    const { device, iommu } = learnt.device;
    this.#learnt.set(device, learnt);
    this.#recorder.learnt(device, learnt);
    if (iommu === null) return;
    const others = this.#byIommu.get(iommu) ?? new Map<string, Learnt>();
    this.#byIommu.set(iommu, others.set(device, learnt));
  }

  of(device: PlatformDevice): Learnt | undefined {
    const learnt = this.#learnt.get(device.device);
    if (!learnt || sameDevice(learnt.device, device)) return learnt;
    this.forget(device.device);
    return undefined;
  }

  /**
   * An aperture that was learnt of any device behind the IOMMU. One whose end was moved outwards over a region, see
   * apertureOf(), may be wider than the IOMMU's, and is the device's alone.
   */
  apertureBehind(iommu: string | null): Range | null {
    if (iommu === null) return null;
    for (const { aperture, ranges } of this.#byIommu.get(iommu)?.values() ?? []) {
      const seen = ranges.hull();
      if (aperture && aperture.start === seen?.start && aperture.last === seen.last) return aperture;
    }
    return null;
  }

  /** Notes why the kernel has refused to bind or attach a device; null: it has not. */
  refused(device: PlatformDevice, blocker: Blocker | null): void {
    if (blocker) {
      this.#refusals.set(device.device, { device, blocker });
      this.#recorder.refusal(device.device, { device, blocker });
    } else this.#forgetRefusal(device.device);
  }

  refusalOf(device: PlatformDevice): Blocker | undefined {
    const refusal = this.#refusals.get(device.device);
    if (!refusal || sameDevice(refusal.device, device)) return refusal?.blocker;
    this.#forgetRefusal(device.device);
    return undefined;
  }

  forget(device: string): void {
    this.#forgetRefusal(device);
    const learnt = this.#learnt.get(device);
    if (!learnt) return;
    this.#learnt.delete(device);
    this.#recorder.learnt(device, null);
    const { iommu } = learnt.device;
    if (iommu !== null) this.#byIommu.get(iommu)?.delete(device);
    this.#dropped(learnt);
  }

  forgetAll(): void {
    for (const device of [...this.#refusals.keys(), ...this.#learnt.keys()]) this.forget(device);
  }

  #forgetRefusal(device: string): void {
    if (this.#refusals.delete(device)) this.#recorder.refusal(device, null);
  }
}

/** With a cdev, a device is not asked about by its group any more. */
function sameDevice(a: PlatformDevice, b: PlatformDevice): boolean {
  const isOnSameDriver = a.driver === b.driver && a.vfioDevice === b.vfioDevice && a.cdev === b.cdev;
  return a.device === b.device && a.group === b.group && isOnSameDriver;
}
