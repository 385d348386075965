import type { Device } from "./device.ts";
import { Errno } from "./errno.ts";

/** Drivers that leave DMA to user space or do none: those with `.driver_managed_dma` set. */
const DRIVER_MANAGED_DMA = /^(pci-stub|pcieport|(.*[-_])?vfio([-_].*)?)$/;

/** An IOMMU group: devices that the IOMMU cannot tell apart, and who owns their DMA. After `drivers/iommu/iommu.c`. */
export class IommuGroup {
  readonly id: number;
  readonly devices: Device[] = [];
  #owner: object | undefined;
  #ownerCount = 0;

  constructor(id: number) {
    this.id = id;
  }

  /** iommu_group_has_isolated_msi */
  get hasIsolatedMsi(): boolean {
    return this.devices.every(({ isolatedMsi }) => isolatedMsi);
  }

  /**
   * Whether a driver may do DMA through the kernel here (iommu_device_use_default_domain, which the driver core
   * calls before it probes any driver but those above): not while user space owns the group.
   */
  admits(driver: string): boolean {
    return this.#owner === undefined || DRIVER_MANAGED_DMA.test(driver);
  }

  /**
   * iommu_device_claim_dma_owner. Throws EPERM when a host driver or another owner has the group, EINVAL when
   * firmware demands a 1:1 mapping for any of its devices: ownership starts with the blocking domain, which has
   * none (__iommu_device_set_domain).
   */
  claimDma(owner: object): void {
    if (this.#hasHostDriver || (this.#ownerCount > 0 && this.#owner !== owner)) throw new Errno("EPERM");
    if (this.devices.some(({ regions }) => regions.some(({ type }) => type === "direct"))) {
      throw new Errno("EINVAL");
    }
    this.#owner = owner;
    this.#ownerCount++;
  }

  /** iommu_group_dma_owner_claimed: by a host driver, or by user space. */
  get isDmaClaimed(): boolean {
    return this.#hasHostDriver || this.#ownerCount > 0;
  }

  get #hasHostDriver(): boolean {
    return this.devices.some(({ driver }) => driver !== null && !DRIVER_MANAGED_DMA.test(driver));
  }

  /** iommu_device_release_dma_owner */
  releaseDma(): void {
    if (--this.#ownerCount === 0) this.#owner = undefined;
  }
}
