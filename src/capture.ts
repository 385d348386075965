import { Host } from "./host/host.ts";
import type { Reserved } from "./host/knowledge/reserved.ts";
import type { PciIds, PlatformDevice } from "./host/platform/platform.ts";
import { openKernel } from "./open-kernel.ts";
import type { HostChoice } from "./options.ts";
import { formatAddress } from "./ranges/address.ts";
import type { Range } from "./ranges/range.ts";

/** The host as it is, as the text of a topology file; asks nothing of a device. */
export async function capture({ simulate, ...options }: HostChoice): Promise<string> {
  const host = new Host(openKernel(simulate), options);
  const topology = await captureTopology(host);
  await host.close();
  return `${JSON.stringify(topology, null, 2)}\n`;
}

interface Captured {
  readonly platform: PlatformDevice;
  readonly reserved: Reserved;
}

/** From what the kernel itself told to nothing at all. */
const SOURCES = ["probe", "ioas", "estimate", "unknown"] as const;

/**
 * The host as a topology file, which `--simulate` takes: what the daemon knows of it, and nothing that tells whose it
 * is. Members of the file that say how well something is known (`aperture-source`, `regions-scope`) are for people.
 */
export async function captureTopology(host: Host): Promise<object> {
  const devices = await host.reservedOf((await host.devices()).map(({ platform }) => platform));
  const isAlone = ({ platform }: Captured) =>
    devices.filter((other) => other.platform.group === platform.group).length === 1;
  return {
    kernel: {
      release: host.kernel.release,
      iommufd: host.platform.hasIommufd,
      "vfio-cdev": host.platform.hasVfioCdev,
      "resv-iova-ranges": host.usesResvIovaRanges,
    },
    iommus: [...new Set(devices.map(iommuName))].map((name) =>
      captureIommu(
        name,
        devices.filter((device) => iommuName(device) === name),
      ),
    ),
    devices: devices.map((device) => captureDevice(device, isAlone(device))),
  };
}

/** Every group is behind one IOMMU, also where sysfs does not show which. */
function iommuName({ platform: { iommu, group } }: Captured): string {
  return iommu ?? `iommu-of-group-${group}`;
}

/** By the one of its devices of which most is known. */
function captureIommu(name: string, devices: readonly Captured[]) {
  const best = SOURCES.flatMap((source) =>
    devices.filter(({ reserved }) => reserved.apertureSource === source),
  )[0]?.reserved;
  return {
    name,
    ...(best?.aperture ? { aperture: wireRange(best.aperture) } : {}),
    "aperture-source": best?.apertureSource ?? "unknown",
    ...(best?.alignment ? { "page-size": Number(best.alignment) } : {}),
  };
}

function captureDevice(device: Captured, isAlone: boolean) {
  const { platform, reserved } = device;
  return {
    device: platform.device,
    iommu: iommuName(device),
    group: platform.group,
    driver: platform.driver,
    ...(platform.pci ? { pci: capturePci(platform.pci) } : {}),
    ...(platform.numaNode === null ? {} : { "numa-node": platform.numaNode }),
    regions: reserved.regions.map(({ type, ...range }) => ({ ...wireRange(range), type })),
    // The group's file, of which nobody knows what is whose: every member is given all of it.
    ...(reserved.source === "sysfs" && !isAlone ? { "regions-scope": "group" } : {}),
    ...(reserved.truncated ? { "regions-truncated": true } : {}),
  };
}

function capturePci({ subsystemVendor, subsystemDevice, ...ids }: PciIds) {
  return { ...ids, "subsystem-vendor": subsystemVendor, "subsystem-device": subsystemDevice };
}

function wireRange({ start, last }: Range) {
  return { start: formatAddress(start), last: formatAddress(last) };
}
