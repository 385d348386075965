import { formatRange } from "../../ranges/range.ts";
import { HostError } from "../errors.ts";
import { kernelError, systemCallError } from "../failures.ts";
import { type Blocker, noIommu } from "../platform/blockers.ts";
import type { PlatformDevice } from "../platform/platform.ts";

/** What may explain a refused bind. */
export interface BindEvidence {
  readonly blockers: readonly Blocker[];
  /** Devices of the group that the daemon holds in another context, or has handed over with one. */
  readonly elsewhere: readonly string[];
  /** Other processes that have the cdev of the device, or of a sibling that is not of the same context, open. */
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
    const bound = evidence.boundElsewhere.filter((each) => each === device || code !== "EINVAL");
    if (bound.length > 0) return boundBySomebody(device, bound, { errno: code });
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
  const detail = `somebody else has bound ${bound.join(", ")} (query-devices with users may tell who)`;
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
export function whoIsInTheWay({ blockers, elsewhere, openers }: BindEvidence) {
  const siblings = blockers.filter(({ reason }) => reason === "group-sibling");
  if (siblings[0]) return { detail: siblings[0].detail, data: { blockers: siblings } };
  if (elsewhere.length > 0) return { detail: oneContext(elsewhere), data: { devices: elsewhere } };
  if (openers.length > 0)
    return { detail: `process ${openers.join(", ")} uses it`, data: { processes: openers } };
  return undefined;
}

/** Before anything is opened: a sibling is with a client. */
export function inOtherContext(device: string, elsewhere: readonly string[]): HostError {
  return new HostError("DeviceBusy", `${device} is busy: ${oneContext(elsewhere)}`, { devices: elsewhere });
}

function oneContext(elsewhere: readonly string[]): string {
  return `${elsewhere.join(", ")} of the same group is in another context, and a group has one context: take this device into that one too (query-devices names it), or let the other go first`;
}
