import type { Carriers } from "./direct-regions.ts";
import { isOnVfioDriver, type PlatformDevice } from "./platform.ts";
import type { Region } from "./reserved-regions.ts";

/** Why a device cannot be given to a guest, with the evidence. */
export interface Blocker {
  readonly device: string;
  readonly reason:
    | "direct-mapping"
    | "no-iommu"
    | "no-vfio-driver"
    | "group-sibling"
    | "no-cdev"
    | "no-isolated-msi"
    | "no-coherent-dma"
    | "unsupported-page-size"
    | "held"
    | "handed-over"
    | "in-use"
    | "sibling-held";
  /** For people: what was seen and what can be done. */
  readonly detail: string;
  /** It passes when somebody gives a device back: nothing has to be done to the host. */
  readonly transient: boolean;
  readonly region?: Region;
  /** The devices concerned: those that carry the region, or the siblings in the way. Of many, some. */
  readonly devices?: readonly string[];
}

/** How many siblings are named. */
const NAMED = 16;

/** A group as far as it stands in the way of its devices. */
export interface GroupView {
  readonly number: number;
  /** On drivers that do DMA of their own. */
  readonly hostDma: readonly PlatformDevice[];
  /** The 1:1 regions, with everybody who carries them. */
  readonly direct: readonly { readonly region: Region; readonly carriers: Carriers }[];
}

/**
 * What stands in the way of `subject` for as long as nobody changes the host, from what sysfs shows.
 *
 * - An enforced `direct` region of any device of the group forbids the blocking domain that VFIO needs
 *   (`drivers/iommu/iommu.c: __iommu_device_set_domain`, `require_direct`).
 * - A sibling on a driver that does DMA of its own keeps the group from user space
 *   (`drivers/iommu/iommu.c: iommu_device_use_default_domain`).
 */
export function findBlockers(subject: PlatformDevice, group: GroupView): Blocker[] {
  const { device, driver } = subject;
  const lasting = { device, transient: false };
  const blockers: Blocker[] = group.direct.map(({ region, carriers }) => ({
    ...lasting,
    reason: "direct-mapping",
    detail: `firmware demands a 1:1 mapping of this region ${extent(carriers, group.number)}, so the kernel gives none of the group to user space; look for a firmware setting that drops it (RMRR, IVMD, IORT RMR)`,
    region,
    devices: carriers.names,
  }));
  if (!isOnVfioDriver(subject)) {
    const detail = `bound to ${driver ?? "no driver"}; bind it to vfio-pci (driverctl set-override ${device} vfio-pci)`;
    blockers.push({ ...lasting, reason: "no-vfio-driver", detail });
  } else if (subject.noIommu) {
    blockers.push(noIommu(device));
  } else if (!subject.cdev) {
    const detail = `it has no node in /dev/vfio/devices; it takes a kernel of 6.6 or later with CONFIG_VFIO_DEVICE_CDEV`;
    blockers.push({ ...lasting, reason: "no-cdev", detail });
  }
  const siblings = firstOthers(group.hostDma, device);
  if (siblings.length > 0) {
    blockers.push({
      ...lasting,
      reason: "group-sibling",
      detail: `group ${group.number} is shared with ${siblings.map((each) => `${each.device} (${each.driver})`).join(", ")}; unbind it or bind it to vfio-pci as well`,
      devices: siblings.map((each) => each.device),
    });
  }
  return blockers;
}

/** What such a device can reach nothing limits: no range that anybody names for it is enforced. */
export function noIommu(device: string): Blocker {
  return {
    device,
    reason: "no-iommu",
    detail:
      "no IOMMU translates for it, so that it reaches any memory of the host; enable the IOMMU, in the firmware's setup and for the kernel, and bind it anew",
    transient: false,
  };
}

/** The first few of `devices`, without the one of that name. */
export function firstOthers<T extends { readonly device: string }>(devices: readonly T[], name: string): T[] {
  return devices
    .slice(0, NAMED + 1)
    .filter(({ device }) => device !== name)
    .slice(0, NAMED);
}

/** Drivers outside VFIO that leave DMA to others: those with `driver_managed_dma` in the kernel's source. */
const DMA_FREE_DRIVERS: ReadonlySet<string> = new Set(["pci-stub", "pcieport"]);

export function doesHostDma(device: PlatformDevice): boolean {
  return device.driver !== null && !isOnVfioDriver(device) && !DMA_FREE_DRIVERS.has(device.driver);
}

/** Whether a region is one device's or the board's: a group's file lists it for all of the group. */
function extent({ devices, groups }: Carriers, group: number): string {
  if (groups > 1) return `on ${devices} devices in ${groups} groups, as if for the whole board`;
  return devices > 1
    ? `on group ${group} only, for one or more of its ${devices} devices`
    : "on this device only";
}
