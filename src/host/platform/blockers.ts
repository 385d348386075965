import { isOnVfioDriver, type PlatformDevice } from "./platform.ts";
import type { Region } from "./reserved-regions.ts";

/** Why a device cannot be given to a guest, with the evidence. */
export interface Blocker {
  readonly reason:
    | "direct-mapping"
    | "no-iommu"
    | "no-vfio-driver"
    | "group-sibling"
    | "no-cdev"
    | "no-isolated-msi"
    | "no-coherent-dma";
  /** For people: what was seen and what can be done. */
  readonly detail: string;
  readonly region?: Region;
  /** The devices concerned: those that carry the region, or the siblings in the way. */
  readonly devices?: readonly string[];
}

/** What such a device can reach nothing limits: no range that anybody names for it is enforced. */
export const NO_IOMMU: Blocker = {
  reason: "no-iommu",
  detail:
    "no IOMMU translates for it, so that it reaches any memory of the host; enable the IOMMU, in the firmware's setup and for the kernel, and bind it anew",
};

/** A device together with the regions of its group. */
export interface DeviceRegions {
  readonly device: PlatformDevice;
  readonly regions: readonly Region[];
}

/**
 * What stands in the way of `subject`, from what sysfs shows of all devices of the host.
 *
 * - An enforced `direct` region of any device of the group forbids the blocking domain that VFIO needs
 *   (`drivers/iommu/iommu.c: __iommu_device_set_domain`, `require_direct`).
 * - A sibling on a driver that does DMA of its own keeps the group from user space
 *   (`drivers/iommu/iommu.c: iommu_device_use_default_domain`).
 */
export function findBlockers(subject: PlatformDevice, host: readonly DeviceRegions[]): Blocker[] {
  const blockers: Blocker[] = [];
  const own = host.find(({ device }) => device.device === subject.device)?.regions ?? [];
  for (const region of own.filter(({ type }) => type === "direct")) {
    const carriers = host
      .filter(({ regions }) => regions.some((other) => sameRegion(other, region)))
      .map(({ device }) => device);
    blockers.push({
      reason: "direct-mapping",
      detail: `firmware demands a 1:1 mapping of this region ${extent(carriers, subject)}, so the kernel gives none of the group to user space; look for a firmware setting that drops it (RMRR, IVMD, IORT RMR)`,
      region,
      devices: carriers.map(({ device }) => device),
    });
  }
  if (!isOnVfioDriver(subject)) {
    blockers.push({
      reason: "no-vfio-driver",
      detail: `bound to ${subject.driver ?? "no driver"}; bind it to vfio-pci (driverctl set-override ${subject.device} vfio-pci)`,
    });
  } else if (subject.noIommu) {
    blockers.push(NO_IOMMU);
  } else if (!subject.cdev) {
    blockers.push({
      reason: "no-cdev",
      detail: `it has no node in /dev/vfio/devices; it takes a kernel of 6.6 or later with CONFIG_VFIO_DEVICE_CDEV`,
    });
  }
  const siblings = host
    .map(({ device }) => device)
    .filter(
      (other) => other.group === subject.group && other.device !== subject.device && doesHostDma(other),
    );
  if (siblings.length > 0) {
    blockers.push({
      reason: "group-sibling",
      detail: `group ${subject.group} is shared with ${siblings.map(({ device, driver }) => `${device} (${driver})`).join(", ")}; unbind it or bind it to vfio-pci as well`,
      devices: siblings.map(({ device }) => device),
    });
  }
  return blockers;
}

/** Whether a region is one device's or the board's: a group's file lists it for all of the group. */
function extent(carriers: readonly PlatformDevice[], subject: PlatformDevice): string {
  const groups = new Set(carriers.map(({ group }) => group)).size;
  if (groups > 1) return `on ${carriers.length} devices in ${groups} groups, as if for the whole board`;
  return carriers.length > 1
    ? `on group ${subject.group} only, for one or more of its ${carriers.length} devices`
    : "on this device only";
}

function sameRegion(a: Region, b: Region): boolean {
  return a.start === b.start && a.last === b.last && a.type === b.type;
}

/** Drivers outside VFIO that leave DMA to others: those with `driver_managed_dma` in the kernel's source. */
const DMA_FREE_DRIVERS: ReadonlySet<string> = new Set(["pci-stub", "pcieport"]);

function doesHostDma(device: PlatformDevice): boolean {
  return device.driver !== null && !isOnVfioDriver(device) && !DMA_FREE_DRIVERS.has(device.driver);
}
