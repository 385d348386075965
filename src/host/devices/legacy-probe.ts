import type { IovaRanges } from "../../kernel/iommufd.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { CONTAINER_PATH, groupPath, VfioContainer, VfioGroup } from "../../kernel/type1.ts";
import { HostError } from "../errors.ts";
import { isAbsent, kernelError, systemCallError } from "../failures.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import {
  type BindEvidence,
  blockedBy,
  directMapping,
  noIsolatedMsi,
  whoIsInTheWay,
} from "./bind-failures.ts";
import { openDeviceFailure } from "./device-failures.ts";

/** What may explain a refusal; gathered only when there is one. */
type Evidence = () => Promise<BindEvidence>;

/** Whether a host has what a probe by type1 takes: the container, and the group's node. */
export function hasLegacyPath(kernel: Kernel, { group }: PlatformDevice): boolean {
  return kernel.exists(CONTAINER_PATH) && kernel.exists(groupPath(group));
}

/**
 * What VFIO's type1 interface allows for the device's group, for hosts without iommufd or cdevs. It knows groups only:
 * what any sibling reserves is excluded as well. Leaves nothing open. Rejects with HostError.
 */
export async function legacyProbe(
  kernel: Kernel,
  device: PlatformDevice,
  evidence: Evidence,
): Promise<IovaRanges> {
  const group = await openGroup(kernel, device, evidence);
  try {
    const container = openContainer(kernel);
    try {
      return await ask(group, container, device, evidence);
    } finally {
      await container.close().catch(() => undefined);
    }
  } finally {
    await group.close().catch(() => undefined);
  }
}

async function ask(
  group: VfioGroup,
  container: VfioContainer,
  device: PlatformDevice,
  evidence: Evidence,
): Promise<IovaRanges> {
  const named = (operation: string) => (error: unknown) => {
    throw kernelError(error, operation);
  };
  if (await container.isIommufd().catch(named("IOMMU_DESTROY"))) throw notAContainer();
  if (!(await group.isViable().catch(named("VFIO_GROUP_GET_STATUS"))))
    throw notViable(device, await evidence());
  await group.setContainer(container).catch(async (error) => {
    throw setContainerFailure(error, device, await evidence());
  });
  await container.setIommu().catch(async (error) => {
    throw setIommuFailure(error, device, await evidence());
  });
  const answer = await container.iovaRanges().catch(named("VFIO_IOMMU_GET_INFO"));
  if (answer) return answer;
  throw new HostError(
    "NotSupported",
    "this kernel's VFIO does not tell which addresses it allows; Linux 5.4 and later do",
    { missing: "VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE" },
  );
}

/** open("/dev/vfio/GROUP") (`drivers/vfio/group.c: vfio_group_fops_open`). */
async function openGroup(kernel: Kernel, device: PlatformDevice, evidence: Evidence): Promise<VfioGroup> {
  try {
    return VfioGroup.open(kernel, device.group);
  } catch (error) {
    const { code } = systemCallError(error);
    if (code === "EBUSY") throw busy(device, await evidence(), code);
    throw isAbsent(code)
      ? openDeviceFailure(error, device)
      : kernelError(error, `open ${groupPath(device.group)}`);
  }
}

/** open("/dev/vfio/vfio"), whose node may be there without its module. */
function openContainer(kernel: Kernel): VfioContainer {
  try {
    return VfioContainer.open(kernel);
  } catch (error) {
    const { code } = systemCallError(error);
    if (!isAbsent(code)) throw kernelError(error, `open ${CONTAINER_PATH}`);
    throw new HostError("NotSupported", `${CONTAINER_PATH} does not work: load VFIO (modprobe vfio-pci)`, {
      missing: CONTAINER_PATH,
      errno: code,
    });
  }
}

/** iommufd's stand-in would allow everything here: it learns of a device only when that is opened. */
function notAContainer(): HostError {
  return new HostError(
    "NotSupported",
    `iommufd stands in for ${CONTAINER_PATH} on this kernel, and tells nothing of a group; a probe takes CONFIG_VFIO_DEVICE_CDEV`,
    { missing: "CONFIG_VFIO_DEVICE_CDEV" },
  );
}

function notViable(device: PlatformDevice, evidence: BindEvidence): HostError {
  return directMapping(device.device, evidence, {}) ?? busy(device, evidence);
}

/** VFIO_GROUP_SET_CONTAINER (`drivers/iommu/iommu.c: iommu_group_claim_dma_owner`). */
function setContainerFailure(error: unknown, device: PlatformDevice, evidence: BindEvidence): HostError {
  const { code } = systemCallError(error);
  const mapped = code === "EINVAL" ? directMapping(device.device, evidence, { errno: code }) : undefined;
  if (mapped) return mapped;
  if (code === "EPERM" || code === "EBUSY") return busy(device, evidence, code);
  if (code === "ENODEV") return openDeviceFailure(error, device);
  return kernelError(error, "VFIO_GROUP_SET_CONTAINER");
}

/** VFIO_SET_IOMMU (`drivers/vfio/vfio_iommu_type1.c: vfio_iommu_type1_attach_group`). */
function setIommuFailure(error: unknown, device: PlatformDevice, evidence: BindEvidence): HostError {
  const { code } = systemCallError(error);
  // Before Linux 6.7 a 1:1 region was found out here only, and by EPERM.
  const isRefusal = code === "EINVAL" || code === "EPERM";
  const mapped = isRefusal ? directMapping(device.device, evidence, { errno: code }) : undefined;
  if (mapped) return mapped;
  if (code === "ENODEV") {
    return new HostError("NotSupported", "VFIO has no type1 IOMMU here (modprobe vfio_iommu_type1)", {
      missing: "vfio_iommu_type1",
      errno: code,
    });
  }
  if (code !== "EPERM") return kernelError(error, "VFIO_SET_IOMMU");
  return blockedBy(noIsolatedMsi(device.device, "vfio_iommu_type1's"), code);
}

function busy({ device, group }: PlatformDevice, evidence: BindEvidence, errno?: string): HostError {
  const known = whoIsInTheWay(evidence);
  const detail =
    known?.detail ??
    `its group ${group} is in use by somebody who cannot be seen from here (fuser -v ${groupPath(group)} may tell who)`;
  return new HostError("DeviceBusy", `${device} is busy: ${detail}`, {
    ...known?.data,
    ...(errno === undefined ? {} : { errno }),
  });
}
