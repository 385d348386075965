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

/**
 * What only the kernel could tell of each device, kept until the device is seen on another driver, or to be another one.
 */
export class LearntByDevice {
  readonly #learnt = new Map<string, Learnt>();
  readonly #byIommu = new Map<string, Map<string, Learnt>>();
  readonly #refusals = new Map<string, { readonly device: PlatformDevice; readonly blocker: Blocker }>();
  readonly #dropped: (learnt: Learnt) => void;

  /** `dropped` is called when something that was learnt does not hold any more. */
  constructor(dropped: (learnt: Learnt) => void) {
    this.#dropped = dropped;
  }

  set(learnt: Learnt): void {
    const { device, iommu } = learnt.device;
    this.#learnt.set(device, learnt);
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

  /** An aperture that was learnt of any device behind the IOMMU. */
  apertureBehind(iommu: string | null): Range | null {
    if (iommu === null) return null;
    for (const { aperture } of this.#byIommu.get(iommu)?.values() ?? []) if (aperture) return aperture;
    return null;
  }

  /** Notes why the kernel has refused to bind a device; null: it has not. */
  refused(device: PlatformDevice, blocker: Blocker | null): void {
    if (blocker) this.#refusals.set(device.device, { device, blocker });
    else this.#refusals.delete(device.device);
  }

  refusalOf(device: PlatformDevice): Blocker | undefined {
    const refusal = this.#refusals.get(device.device);
    if (!refusal || sameDevice(refusal.device, device)) return refusal?.blocker;
    this.#refusals.delete(device.device);
    return undefined;
  }

  forget(device: string): void {
    this.#refusals.delete(device);
    const learnt = this.#learnt.get(device);
    if (!learnt) return;
    this.#learnt.delete(device);
    const { iommu } = learnt.device;
    if (iommu !== null) this.#byIommu.get(iommu)?.delete(device);
    this.#dropped(learnt);
  }

  forgetAll(): void {
    this.#refusals.clear();
    for (const device of [...this.#learnt.keys()]) this.forget(device);
  }
}

/** With a cdev, a device is not asked about by its group any more. */
function sameDevice(a: PlatformDevice, b: PlatformDevice): boolean {
  const isOnSameDriver = a.driver === b.driver && a.vfioDevice === b.vfioDevice && a.cdev === b.cdev;
  return a.device === b.device && a.group === b.group && isOnSameDriver;
}
