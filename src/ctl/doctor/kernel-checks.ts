import { type Finding, failure, ok, warning } from "./finding.ts";
import type { HostFiles } from "./host-files.ts";

/** The releases that brought them, and what they are good for. */
const IOMMUFD = [6, 2] as const;
const CDEV = [6, 6] as const;

/** What the kernel can do, from what it shows in files. */
export function checkKernel(files: HostFiles): Finding[] {
  return [version(files), iommufd(files), cdev(files), modules(files)];
}

function version({ release }: HostFiles): Finding {
  if (isAtLeast(release, CDEV)) return ok("kernel", "version", `Linux ${release}`);
  const what = isAtLeast(release, IOMMUFD)
    ? "no VFIO cdevs (6.6)"
    : "no iommufd (6.2) and no VFIO cdevs (6.6)";
  return warning("kernel", "version", `Linux ${release} has ${what}`, "boot Linux 6.6 or later");
}

function iommufd(files: HostFiles): Finding {
  if (files.exists("/dev/iommu")) return ok("kernel", "iommufd", "/dev/iommu is there");
  const config = files.config("CONFIG_IOMMUFD");
  const evidence = `/dev/iommu is not there${config === undefined ? "" : `; CONFIG_IOMMUFD=${config}`}`;
  if (files.exists("/sys/module/iommufd")) {
    return failure(
      "kernel",
      "iommufd",
      `${evidence}; the module is loaded`,
      "let this container or chroot have the node",
    );
  }
  const remedy =
    config === "n" || !isAtLeast(files.release, IOMMUFD)
      ? "boot a kernel of 6.2 or later that has CONFIG_IOMMUFD"
      : "modprobe iommufd";
  return failure("kernel", "iommufd", evidence, remedy);
}

function cdev(files: HostFiles): Finding {
  const nodes = files.list("/dev/vfio/devices");
  if (nodes.length > 0) return ok("kernel", "VFIO cdevs", `${nodes.length} in /dev/vfio/devices`);
  const config = files.config("CONFIG_VFIO_DEVICE_CDEV");
  if (config === "y")
    return ok("kernel", "VFIO cdevs", "CONFIG_VFIO_DEVICE_CDEV=y; no device is on a VFIO driver");
  const evidence = `nothing in /dev/vfio/devices${config === undefined ? "" : `; CONFIG_VFIO_DEVICE_CDEV=${config}`}`;
  return config === "n"
    ? failure(
        "kernel",
        "VFIO cdevs",
        evidence,
        "boot a kernel of 6.6 or later that has CONFIG_VFIO_DEVICE_CDEV",
      )
    : warning(
        "kernel",
        "VFIO cdevs",
        evidence,
        "bind a device to vfio-pci; if none appears, the kernel has no CONFIG_VFIO_DEVICE_CDEV",
      );
}

function modules(files: HostFiles): Finding {
  const names = ["vfio", "vfio_pci", "iommufd", "vfio_iommu_type1"];
  const loaded = names.filter((name) => files.exists(`/sys/module/${name}`));
  const evidence = loaded.length === 0 ? "none of VFIO's modules is loaded" : `loaded: ${loaded.join(", ")}`;
  return loaded.includes("vfio_pci")
    ? ok("kernel", "modules", evidence)
    : warning("kernel", "modules", evidence, "modprobe vfio-pci");
}

function isAtLeast(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, ours = "0", theirs = "0"] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(ours) > major || (Number(ours) === major && Number(theirs) >= minor);
}
