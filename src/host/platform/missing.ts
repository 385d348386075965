import { ifPossible, type Kernel } from "../../kernel/kernel.ts";
import { CONTAINER_PATH } from "../../kernel/type1.ts";
import { KernelConfig } from "./kernel-config.ts";
import type { Platform } from "./platform.ts";

/** Something that the host lacks, or keeps from the daemon, and the daemon could use. */
export interface Missing {
  /** As in `data.missing` of errors. */
  readonly what:
    | "/dev/iommu"
    | "CONFIG_VFIO_DEVICE_CDEV"
    | "/dev/vfio/vfio"
    | "IOMMU"
    | "CAP_SYS_PTRACE"
    | "CAP_SYS_RESOURCE";
  /** For people: as much as the evidence tells, and what can be done. */
  readonly why: string;
}

/** What the host lacks, and why, as far as can be told. Looks at files of the kernel only, and keeps nothing. */
export function findMissing(kernel: Kernel, platform: Platform): Missing[] {
  const missing = missingCapabilities(kernel);
  const { hasIommufd, hasVfioCdev, hasGroups } = platform;
  if (hasIommufd && hasVfioCdev && hasGroups) return missing;
  const config = new KernelConfig(kernel);
  if (!hasIommufd) missing.push({ what: "/dev/iommu", why: whyNoIommufd(kernel, config) });
  if (!hasVfioCdev) {
    const why = hasIommufd ? whyNoCdev(kernel, config) : "VFIO has cdevs only together with iommufd";
    missing.push({ what: "CONFIG_VFIO_DEVICE_CDEV", why });
  }
  if (!hasIommufd && !kernel.exists(CONTAINER_PATH)) {
    const why = "VFIO is not loaded (modprobe vfio-pci); without iommufd, probe-device takes its containers";
    missing.push({ what: CONTAINER_PATH, why });
  }
  if (!hasGroups) missing.push({ what: "IOMMU", why: whyNoIommu(kernel) });
  return missing;
}

/** By their numbers in linux/capability.h, and what goes without them. */
const CAPABILITIES = [
  [19n, "CAP_SYS_PTRACE", "who has a device open is told only of processes of the daemon's own user"],
  [24n, "CAP_SYS_RESOURCE", "no context can be created with rlimit-mode"],
] as const;

/** Of those that the daemon's unit gives. Nothing is missing on a simulated host, which has no such file. */
function missingCapabilities(kernel: Kernel): Missing[] {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(textOf(kernel, "/proc/self/status"))?.[1];
  if (effective === undefined) return [];
  const lacks = (bit: bigint) => ((BigInt(`0x${effective}`) >> bit) & 1n) === 0n;
  return CAPABILITIES.filter(([bit]) => lacks(bit)).map(([, what, without]) => ({
    what,
    why: `without it ${without}: AmbientCapabilities= of the service gives it`,
  }));
}

function whyNoIommufd(kernel: Kernel, config: KernelConfig): string {
  const { release } = kernel;
  if (kernel.exists("/sys/module/iommufd") || /^\s*\d+ iommu$/m.test(textOf(kernel, "/proc/misc"))) {
    return "the kernel has iommufd, and /dev has no node for it: let the daemon's container or chroot have it";
  }
  const modules = `/lib/modules/${release}/kernel`;
  const value = config.get("CONFIG_IOMMUFD");
  if (value === "m" || kernel.exists(`${modules}/drivers/iommu/iommufd`)) {
    return "the module is not loaded (modprobe iommufd)";
  }
  if (isOlderThan(release, 6, 2)) return `Linux 6.2 brought iommufd, and this is ${release}`;
  if (value === "n") return `this kernel, ${release}, is built without CONFIG_IOMMUFD`;
  if (kernel.exists(modules)) {
    return `there is no module iommufd in ${modules}, so most likely the kernel is built without CONFIG_IOMMUFD`;
  }
  return "the kernel is built without CONFIG_IOMMUFD, or the module is not loaded (modprobe iommufd)";
}

function whyNoCdev(kernel: Kernel, config: KernelConfig): string {
  const { release } = kernel;
  const value = config.get("CONFIG_VFIO_DEVICE_CDEV");
  if (isOlderThan(release, 6, 6)) return `Linux 6.6 brought the cdevs of VFIO, and this is ${release}`;
  if (value === "n") return `this kernel, ${release}, is built without CONFIG_VFIO_DEVICE_CDEV`;
  const isLoaded = kernel.exists("/sys/module/vfio") || kernel.exists(CONTAINER_PATH);
  if (value === "y" || !isLoaded) return "VFIO is not loaded (modprobe vfio-pci)";
  return "the kernel is built without CONFIG_VFIO_DEVICE_CDEV";
}

/** Firmware's tables that describe an IOMMU, and what a kernel that does not use it may want. */
const TABLES: readonly (readonly [table: string, why: string])[] = [
  ["DMAR", "firmware describes a VT-d IOMMU, and the kernel does not use it: boot it with intel_iommu=on"],
  ["IVRS", "firmware describes an AMD IOMMU, and the kernel does not use it: it takes CONFIG_AMD_IOMMU"],
  ["VIOT", "firmware describes a virtio-iommu, and the kernel does not use it: it takes CONFIG_VIRTIO_IOMMU"],
  ["IORT", "firmware describes no SMMU that the kernel uses: look for it in the firmware's setup"],
];

function whyNoIommu(kernel: Kernel): string {
  const off = /(^|\s)((intel_|amd_)?iommu=(\S*,)?off)\b/.exec(textOf(kernel, "/proc/cmdline"))?.[2];
  if (off !== undefined) return `the kernel's command line turns it off: ${off}`;
  // CONFIG_IOMMUFD_TEST brings one that translates for nothing (`drivers/iommu/iommufd/selftest.c`).
  if (namesIn(kernel, "/sys/class/iommu").some((name) => !name.startsWith("iommufd_selftest"))) {
    return "there is an IOMMU, and no device behind it has a group yet; with some, groups come with the first driver";
  }
  for (const [table, why] of TABLES) if (kernel.exists(`/sys/firmware/acpi/tables/${table}`)) return why;
  return "firmware describes no IOMMU: enable VT-d, AMD-Vi or the SMMU in its setup; a virtual machine has to be given one";
}

function isOlderThan(release: string, major: number, minor: number): boolean {
  const [, ours, theirs] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  if (ours === undefined || theirs === undefined) return false;
  return Number(ours) < major || (Number(ours) === major && Number(theirs) < minor);
}

function textOf(kernel: Kernel, path: string): string {
  return ifPossible(() => kernel.readFile(path)) ?? "";
}

function namesIn(kernel: Kernel, path: string): string[] {
  return ifPossible(() => kernel.readDirectory(path)) ?? [];
}
