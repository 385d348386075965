import { SystemCallError } from "../kernel/kernel.ts";
import { formatRange } from "../ranges/range.ts";
import { HostError } from "./errors.ts";
import { type Blocker, noIommu } from "./platform/blockers.ts";
import type { PlatformDevice } from "./platform/platform.ts";

/**
 * What a failed system call means for the client. An errno is evidence, not a diagnosis (a failed allocation inside an
 * ATTACH was seen as ENOENT and EINVAL): each function first asks what the model knows, and what nobody can tell
 * stays a KernelError with the errno.
 */

/** Throws again what is not a failed system call. */
export function systemCallError(error: unknown): SystemCallError {
  if (error instanceof SystemCallError) return error;
  throw error;
}

/** An errno that says nothing more specific. `operation` is the ioctl's or call's name in the kernel's headers. */
export function kernelError(error: unknown, operation: string): HostError {
  const { code } = systemCallError(error);
  return new HostError(
    "KernelError",
    `the kernel refused ${operation} with ${code}; its log may say why (dmesg)`,
    {
      errno: code,
      operation,
    },
  );
}

/** Whether an open failed because there is no such node, or nothing behind it. */
export function isAbsent(code: string): boolean {
  return ["ENOENT", "ENODEV", "ENXIO"].includes(code);
}

/** open("/dev/iommu"). */
export function openIommufdFailure(error: unknown): HostError {
  const { code } = systemCallError(error);
  if (isAbsent(code)) {
    return new HostError(
      "NotSupported",
      "this host has no /dev/iommu: its kernel is built without CONFIG_IOMMUFD (6.2 and later have it), or the module is not loaded (modprobe iommufd)",
      { missing: "/dev/iommu", errno: code },
    );
  }
  return kernelError(error, "open /dev/iommu");
}

/** IOMMU_OPTION_RLIMIT_MODE (`drivers/iommu/iommufd/ioas.c: iommufd_option_rlimit_mode`). */
export function rlimitModeFailure(error: unknown): HostError {
  const { code } = systemCallError(error);
  if (code !== "EPERM") return kernelError(error, "IOMMU_OPTION_RLIMIT_MODE");
  return new HostError(
    "NotSupported",
    "the daemon may not choose how pinned memory is accounted: it has not got CAP_SYS_RESOURCE",
    { missing: "CAP_SYS_RESOURCE", errno: code },
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

/** What may explain a refused bind. */
export interface BindEvidence {
  readonly blockers: readonly Blocker[];
  /** Devices of the group that the daemon holds in another context. */
  readonly heldElsewhere: readonly string[];
  /** Other processes that have the cdev of the device, or of a sibling, open. */
  readonly openers: readonly number[];
  /** Devices of the group that somebody has bound, and not the daemon. */
  readonly boundElsewhere: readonly string[];
}

/**
 * VFIO_DEVICE_BIND_IOMMUFD (`drivers/vfio/device_cdev.c: vfio_df_ioctl_bind_iommufd`, `drivers/iommu/iommufd/device.c:
 * iommufd_device_bind`, `drivers/iommu/iommu.c: iommu_device_claim_dma_owner`). Two errno have many causes. EINVAL: an
 * enforced 1:1 region, a device that is bound already, DMA that is not coherent. EPERM: a group that belongs to a host
 * driver or to another context, interrupts that are not isolated.
 */
export function bindFailure(
  error: unknown,
  { device, group }: PlatformDevice,
  evidence: BindEvidence,
): HostError {
  const { code } = systemCallError(error);
  const mapped = code === "EINVAL" ? directMapping(device, evidence, { errno: code }) : undefined;
  if (mapped) return mapped;
  if (["EINVAL", "EPERM", "EBUSY"].includes(code)) {
    const busy = whoIsInTheWay(evidence);
    if (busy)
      return new HostError("DeviceBusy", `${device} is busy: ${busy.detail}`, { errno: code, ...busy.data });
    if (evidence.boundElsewhere.length > 0)
      return boundBySomebody(device, evidence.boundElsewhere, { errno: code });
  }
  if (code === "EBUSY") {
    const detail = `another process uses its group ${group} (fuser -v /dev/vfio/${group} tells which)`;
    return new HostError("DeviceBusy", `${device} is busy: ${detail}`, { errno: code });
  }
  if (code === "EINVAL" || code === "EPERM") {
    return blockedBy(
      code === "EINVAL" ? noCoherentDma(device) : noIsolatedMsi(device, "the iommufd module's"),
      code,
    );
  }
  if (code === "ENODEV") {
    return new HostError("DeviceNotFound", `${device} has gone, or lost its IOMMU group`, { errno: code });
  }
  return kernelError(error, "VFIO_DEVICE_BIND_IOMMUFD");
}

/** Why a bind would fail, as far as it can be told before. */
export function foreseenFailure({ device }: PlatformDevice, evidence: BindEvidence): HostError | undefined {
  const mapped = directMapping(device, evidence, {});
  if (mapped) return mapped;
  const busy = whoIsInTheWay(evidence);
  if (busy) return new HostError("DeviceBusy", `${device} is busy: ${busy.detail}`, busy.data);
  // A sibling may be bound by the one that this device is meant for.
  return evidence.boundElsewhere.includes(device) ? boundBySomebody(device, [device], {}) : undefined;
}

function boundBySomebody(device: string, bound: readonly string[], data: object): HostError {
  const detail = `a process that cannot be seen from here has bound ${bound.join(", ")}`;
  return new HostError("DeviceBusy", `${device} is busy: ${detail}`, { ...data, devices: bound });
}

export function directMapping(
  device: string,
  { blockers }: BindEvidence,
  data: object,
): HostError | undefined {
  const direct = blockers.filter(({ reason }) => reason === "direct-mapping");
  if (direct.length === 0) return undefined;
  const regions = direct.flatMap(({ region }) => (region ? formatRange(region) : [])).join(", ");
  return new HostError(
    "DeviceBlocked",
    `${device} cannot be given to user space: ${regions}: ${direct[0]?.detail}`,
    { ...data, blockers: direct },
  );
}

function noCoherentDma(device: string): Blocker {
  return {
    device,
    reason: "no-coherent-dma",
    transient: false,
    detail: "nothing else is in the way, so most likely its DMA is not cache-coherent",
  };
}

/** `whose`: the module that can be told to accept it. */
export function noIsolatedMsi(device: string, whose: string): Blocker {
  return {
    device,
    reason: "no-isolated-msi",
    transient: false,
    detail: `its interrupts are not isolated; enable interrupt remapping, or accept the risk with ${whose} allow_unsafe_interrupts`,
  };
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

/** A refusal for a reason that only the kernel knew. */
export function blockedBy(blocker: Blocker, errno: string): HostError {
  return new HostError("DeviceBlocked", `the kernel refuses ${blocker.device}: ${blocker.detail}`, {
    errno,
    blockers: [blocker],
  });
}

/** Before anything is opened: the kernel would let the daemon have it (`drivers/vfio/device_cdev.c`). */
export function withoutIommu(device: string): HostError {
  const blocker = noIommu(device);
  return new HostError("DeviceBlocked", `${device} is safe for nobody to have: ${blocker.detail}`, {
    blockers: [blocker],
  });
}

/** Whom there is evidence of, with what a client is told. */
export function whoIsInTheWay({ blockers, heldElsewhere, openers }: BindEvidence) {
  const siblings = blockers.filter(({ reason }) => reason === "group-sibling");
  if (siblings[0]) return { detail: siblings[0].detail, data: { blockers: siblings } };
  if (heldElsewhere.length > 0) {
    const detail = `${heldElsewhere.join(", ")} of the same group is held in another context, and a group has one context: hold this device in that one too (query-devices names it), or release the other first`;
    return { detail, data: { devices: heldElsewhere } };
  }
  if (openers.length > 0)
    return { detail: `process ${openers.join(", ")} uses it`, data: { processes: openers } };
  return undefined;
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

/** A probe's answer that allows what the platform says the device reserves. See Knowledge.learn. */
export function regionsLost(device: string): HostError {
  return new HostError(
    "KernelError",
    `the kernel has left out regions that it lists for ${device}, as it may when it is out of memory; probe again`,
    { operation: `the probe of ${device}` },
  );
}

/** The errno of a failed system call; undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof SystemCallError ? error.code : undefined;
}

/** A device that has gone, or is on its way to another driver, while it was worked on. */
export function changingDriver(device: string): HostError {
  return new HostError("DeviceNotFound", `${device} is changing its driver; ask query-devices again`, {
    device,
  });
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

export function deviceNotFound(device: string): HostError {
  return new HostError(
    "DeviceNotFound",
    `no device ${device} with an IOMMU group on this host; query-devices lists them`,
    { device },
  );
}

/** How many names of missing devices a message has; its data has all. */
const LISTED = 8;

/** `missing` has at least one name. */
export function devicesNotFound(missing: readonly string[]): HostError {
  const [first] = missing;
  if (first !== undefined && missing.length === 1) return deviceNotFound(first);
  const listed = missing.slice(0, LISTED).join(", ") + (missing.length > LISTED ? ", …" : "");
  return new HostError(
    "DeviceNotFound",
    `no devices ${listed} with an IOMMU group on this host; query-devices lists them`,
    { devices: missing },
  );
}
