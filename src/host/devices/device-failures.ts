import { HostError } from "../errors.ts";
import { isAbsent, kernelError, systemCallError } from "../failures.ts";
import type { Blocker } from "../platform/blockers.ts";
import type { Census } from "../platform/census.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import { blockedBy } from "./bind-failures.ts";

/** Near misses of a PCI device's name: `3:00.0`, `84:00`, `0000:84.00.0`. */
const NEARLY_PCI = /^(?:[0-9a-f]{1,4}[:.])?[0-9a-f]{1,2}[:.][0-9a-f]{1,2}(?:[:.][0-9a-f])?$/i;

/** `; did you mean …?`, where there is a device of that name, or of that slot. */
function meant(device: string, census: Pick<Census, "get">): string {
  if (!NEARLY_PCI.test(device)) return "";
  const parts = device.toLowerCase().split(/[:.]/);
  const [bus = "", slot = "", number = "0"] = parts.slice(parts.length === 4 ? 1 : 0);
  const domain = parts.length === 4 ? (parts[0] as string) : "0";
  const place = `${domain.padStart(4, "0")}:${bus.padStart(2, "0")}:${slot.padStart(2, "0")}`;
  const name = [`${place}.${number}`, `${place}.0`].find((each) => census.get(each));
  return name === undefined ? "" : `; did you mean ${name}?`;
}

/** `census`: of the devices that may have been meant. */
export function deviceNotFound(device: string, census: Pick<Census, "get">): HostError {
  return new HostError(
    "DeviceNotFound",
    `no device ${device} with an IOMMU group on this host${meant(device, census)} (query-devices lists them)`,
    { device },
  );
}

/** How many names of missing devices a message has; its data has all. */
const LISTED = 8;

/** `missing` has at least one name. */
export function devicesNotFound(missing: readonly string[], census: Pick<Census, "get">): HostError {
  const [first] = missing;
  if (first !== undefined && missing.length === 1) return deviceNotFound(first, census);
  const listed = missing.slice(0, LISTED).join(", ") + (missing.length > LISTED ? ", …" : "");
  return new HostError(
    "DeviceNotFound",
    `no devices ${listed} with an IOMMU group on this host (query-devices lists them)`,
    { devices: missing },
  );
}

/** A device that has gone, or is on its way to another driver, while it was worked on. */
export function changingDriver(device: string): HostError {
  return new HostError("DeviceNotFound", `${device} is changing its driver; ask query-devices again`, {
    device,
  });
}

/** The kernel makes no cdevs at all. */
export function noCdevs({ device, driver }: PlatformDevice): HostError {
  return new HostError(
    "NotSupported",
    `${device} has no node in /dev/vfio/devices, for this kernel makes none: it takes Linux 6.6 or later with CONFIG_VFIO_DEVICE_CDEV`,
    { driver, missing: "CONFIG_VFIO_DEVICE_CDEV" },
  );
}

/** The kernel makes cdevs, and this one is not to be seen. */
export function withoutCdev({ device, driver }: PlatformDevice): HostError {
  return new HostError(
    "DeviceNotReady",
    `${device} has no node in /dev/vfio/devices, though this kernel makes them: let the daemon's container or chroot have it, or bind the device anew`,
    { driver },
  );
}

/** open("/dev/vfio/devices/…"). */
export function openDeviceFailure(error: unknown, device: PlatformDevice): HostError {
  const { code } = systemCallError(error);
  if (isAbsent(code)) {
    return new HostError(
      "DeviceNotFound",
      `${device.device} is leaving its VFIO driver; ask query-devices again`,
      {
        errno: code,
      },
    );
  }
  return kernelError(error, `open /dev/vfio/devices/${device.vfioDevice}`);
}

/**
 * VFIO_DEVICE_ATTACH_IOMMUFD_PT, apart from EADDRINUSE (`drivers/iommu/iommufd/device.c: iommufd_device_change_pt`,
 * `io_pagetable.c: iopt_table_add_domain`).
 */
export function attachFailure(
  error: unknown,
  device: string,
  siblingElsewhere: string | undefined,
): HostError {
  const { code } = systemCallError(error);
  if (code === "EINVAL" && siblingElsewhere !== undefined) {
    return new HostError(
      "DeviceBusy",
      `${device} shares its group with ${siblingElsewhere}, which is attached to another IOAS: a group has one IOAS; attach ${device} there, or detach ${siblingElsewhere} first`,
      { errno: code, devices: [siblingElsewhere] },
    );
  }
  if (code === "EINVAL") return blockedBy(unsupportedPageSize(device), code);
  if (code === "EBUSY") {
    return new HostError("DeviceBusy", `${device} is being reset, or its group is in use; try again`, {
      errno: code,
    });
  }
  if (code === "ENODEV") {
    return new HostError("DeviceNotFound", `${device} has gone; release it`, { errno: code });
  }
  return kernelError(error, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
}

/** iopt_table_add_domain: mappings are made of the host's pages, and the IOMMU's may not be larger. */
function unsupportedPageSize(device: string): Blocker {
  return {
    device,
    reason: "unsupported-page-size",
    transient: false,
    detail:
      "it can be bound and not attached, so most likely the smallest page of its IOMMU is larger than the host's; a kernel with larger pages can use it",
  };
}

/** An attach that has succeeded, of which the kernel does not say what is left: the cause of that alone. */
export function attachedUnseen(error: unknown, device: string, ioas: number): unknown {
  if (!(error instanceof HostError)) return error;
  return new HostError(
    error.errorClass,
    `${device} is attached to IOAS ${ioas}, but what that allows could not be read: ${error.message}; ask query-allowed-ranges again`,
    { ...error.data, attached: true },
  );
}

/** A probe's answer that allows what the platform says the device reserves. See Knowledge.learn. */
export function regionsLost(device: string): HostError {
  return new HostError(
    "KernelError",
    `the kernel has left out regions that it lists for ${device}, as it may when it is out of memory; probe again`,
    { operation: `the probe of ${device}` },
  );
}
