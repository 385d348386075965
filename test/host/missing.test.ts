import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { findMissing } from "../../src/host/platform/missing.ts";
import { Platform } from "../../src/host/platform/platform.ts";
import { type Kernel, SystemCallError } from "../../src/kernel/kernel.ts";

/** A kernel of which only files are looked at: their text by path; what lies below a path is there, too. */
function hostWith(files: Readonly<Record<string, string>>, release = "6.12.0-amd64"): Kernel {
  const paths = Object.keys(files);
  const fail = (call: string): never => {
    throw new SystemCallError("ENOENT", call);
  };
  const names = (path: string) =>
    paths.flatMap((each) =>
      each.startsWith(`${path}/`) ? (each.slice(path.length + 1).split("/")[0] ?? []) : [],
    );
  return {
    release,
    readFile: (path: string) => files[path] ?? fail("open"),
    readDirectory: (path: string) => (names(path).length > 0 ? names(path) : fail("scandir")),
    exists: (path: string) => files[path] !== undefined || names(path).length > 0,
  } as Partial<Kernel> as Kernel;
}

const missingOn = (host: Kernel) => findMissing(host, new Platform(host));
const whyOf = (host: Kernel, what: string) => missingOn(host).find((each) => each.what === what)?.why;

const GROUPS = { "/sys/kernel/iommu_groups/1/devices/0000:00:05.0": "" };
const CDEVS = { "/proc/devices": "Character devices:\n511 vfio-dev\n" };
const CONTAINER = { "/dev/vfio/vfio": "" };
const CONFIG = "/boot/config-6.12.0-amd64";

describe("a host that has everything", () => {
  it("misses nothing", () => {
    expect(missingOn(hostWith({ "/dev/iommu": "", ...CDEVS, ...GROUPS }))).toEqual([]);
  });
});

describe("a daemon that is not root", () => {
  const HOST = { "/dev/iommu": "", ...CDEVS, ...GROUPS };
  const withCapabilities = (effective: string) =>
    hostWith({
      ...HOST,
      "/proc/self/status": `Name:\tnode\nCapPrm:\t0\nCapEff:\t${effective}\nCapBnd:\tff\n`,
    });

  it("misses nothing with the two capabilities that its unit gives", () => {
    expect(missingOn(withCapabilities("0000000001080000"))).toEqual([]);
  });

  it("says what goes without each", () => {
    expect(whyOf(withCapabilities("0000000001000000"), "CAP_SYS_PTRACE")).toContain("who has a device open");
    expect(whyOf(withCapabilities("0000000000080000"), "CAP_SYS_RESOURCE")).toContain("rlimit-mode");
    expect(missingOn(withCapabilities("0000000000000000"))).toHaveLength(2);
  });
});

describe("/dev/iommu is missing because", () => {
  const cases: [why: string, files: Record<string, string>, release?: string][] = [
    ["is built without CONFIG_IOMMUFD", { [CONFIG]: "# CONFIG_IOMMUFD is not set\n" }],
    ["is built without CONFIG_IOMMUFD", { [CONFIG]: "CONFIG_VFIO=m\n" }],
    [
      "is built without CONFIG_IOMMUFD",
      { "/lib/modules/6.12.0-amd64/config": "# CONFIG_IOMMUFD is not set\n" },
    ],
    ["modprobe iommufd", { [CONFIG]: "CONFIG_IOMMUFD=m\n" }],
    ["modprobe iommufd", { "/lib/modules/6.12.0-amd64/kernel/drivers/iommu/iommufd/iommufd.ko.xz": "" }],
    ["most likely the kernel is built without", { "/lib/modules/6.12.0-amd64/kernel/fs/fat/fat.ko": "" }],
    ["/dev has no node for it", { "/sys/module/iommufd/refcnt": "0\n" }],
    ["/dev has no node for it", { "/proc/misc": "126 iommu\n196 vfio\n" }],
    ["Linux 6.2 brought iommufd, and this is 5.15.0", {}, "5.15.0"],
    ["or the module is not loaded", {}],
    ["or the module is not loaded", {}, "unknown"],
  ];
  it.each(cases)("…%s… with %o", (why, files, release) => {
    expect(whyOf(hostWith(files, release), "/dev/iommu")).toContain(why);
  });

  it("…what the kernel carries of its configuration says", () => {
    const host = (text: string) => hostWith({ "/proc/config.gz": gzipSync(text).toString("latin1") });
    expect(whyOf(host("# CONFIG_IOMMUFD is not set\n"), "/dev/iommu")).toContain(
      "built without CONFIG_IOMMUFD",
    );
    expect(whyOf(host("CONFIG_IOMMUFD=m\n"), "/dev/iommu")).toContain("modprobe iommufd");
    expect(whyOf(hostWith({ "/proc/config.gz": "garbage" }), "/dev/iommu")).toContain("or the module");
  });
});

describe("cdevs are missing because", () => {
  const cases: [why: string, files: Record<string, string>, release?: string][] = [
    ["is built without CONFIG_VFIO_DEVICE_CDEV", { [CONFIG]: "CONFIG_IOMMUFD=m\n", ...CONTAINER }],
    ["modprobe vfio-pci", { [CONFIG]: "CONFIG_VFIO_DEVICE_CDEV=y\n" }],
    ["modprobe vfio-pci", {}],
    ["is built without CONFIG_VFIO_DEVICE_CDEV", CONTAINER],
    ["Linux 6.6 brought the cdevs", CONTAINER, "6.4.1"],
  ];
  it.each(cases)("…%s… with %o", (why, files, release) => {
    const host = hostWith({ "/dev/iommu": "", ...files }, release);
    expect(whyOf(host, "CONFIG_VFIO_DEVICE_CDEV")).toContain(why);
    expect(whyOf(host, "/dev/iommu")).toBeUndefined();
  });

  it("there is no iommufd, and the containers are missed only then", () => {
    const without = missingOn(hostWith(GROUPS));
    expect(without.map(({ what }) => what)).toEqual([
      "/dev/iommu",
      "CONFIG_VFIO_DEVICE_CDEV",
      "/dev/vfio/vfio",
    ]);
    expect(without[1]?.why).toContain("only together with iommufd");
    const stock = missingOn(hostWith({ ...GROUPS, ...CONTAINER }));
    expect(stock.map(({ what }) => what)).toEqual(["/dev/iommu", "CONFIG_VFIO_DEVICE_CDEV"]);
  });
});

describe("an IOMMU is missing because", () => {
  const cases: [why: string, files: Record<string, string>][] = [
    ["turns it off: intel_iommu=off", { "/proc/cmdline": "root=/dev/sda1 intel_iommu=off quiet\n" }],
    ["turns it off: iommu=pt,off", { "/proc/cmdline": "iommu=pt,off\n" }],
    [
      "turns it off: amd_iommu=off",
      { "/proc/cmdline": "amd_iommu=off", "/sys/firmware/acpi/tables/IVRS": "" },
    ],
    [
      "boot it with intel_iommu=on",
      { "/sys/firmware/acpi/tables/DMAR": "", "/proc/cmdline": "iommu=pt quiet\n" },
    ],
    ["CONFIG_AMD_IOMMU", { "/sys/firmware/acpi/tables/IVRS": "" }],
    ["CONFIG_VIRTIO_IOMMU", { "/sys/firmware/acpi/tables/VIOT": "" }],
    ["no device behind it has a group yet", { "/sys/class/iommu/dmar0": "" }],
    ["firmware describes no IOMMU", { "/proc/cmdline": "quiet\n" }],
    ["firmware describes no IOMMU", { "/sys/class/iommu/iommufd_selftest_iommu.0": "" }],
  ];
  it.each(cases)("…%s… with %o", (why, files) => {
    expect(whyOf(hostWith({ "/dev/iommu": "", ...CDEVS, ...files }), "IOMMU")).toContain(why);
  });
});
