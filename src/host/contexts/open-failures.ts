import { Iommufd } from "../../kernel/iommufd.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { HostError } from "../errors.ts";
import { isAbsent, kernelError, systemCallError } from "../failures.ts";

/** @throws HostError NotSupported, KernelError */
export function openIommufd(kernel: Kernel): Iommufd {
  try {
    return Iommufd.open(kernel);
  } catch (error) {
    throw openIommufdFailure(error);
  }
}

/** open("/dev/iommu"). */
function openIommufdFailure(error: unknown): HostError {
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
