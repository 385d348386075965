import { type Finding, failure, ok, warning } from "./finding.ts";
import type { HostFiles } from "./host-files.ts";

const GROUPS = "/sys/kernel/iommu_groups";

/** Firmware's tables that describe an IOMMU, and how it is turned on. */
const TABLES = {
  DMAR: "boot with intel_iommu=on",
  IVRS: "boot a kernel with CONFIG_AMD_IOMMU",
  IORT: "look for the SMMU in the firmware's setup",
  VIOT: "boot a kernel with CONFIG_VIRTIO_IOMMU",
} as const;

/** Whether an IOMMU is there and does what guests need of it. */
export function checkIommu(files: HostFiles): Finding[] {
  const units = files.list("/sys/class/iommu");
  const groups = files.list(GROUPS);
  if (groups.length === 0) return [missing(files, units), ...unsafe(files)];
  return [
    ok("iommu", "on", `${units.length > 0 ? units.join(", ") : "an IOMMU"}; ${groups.length} groups`),
    mode(files, groups),
    ...apertures(files, units),
    ...remapping(files, units),
    ...unsafe(files),
  ];
}

function missing(files: HostFiles, units: readonly string[]): Finding {
  const line = files.read("/proc/cmdline") ?? "";
  const off = /(^|\s)((intel_|amd_)?iommu=(\S*,)?off)\b/.exec(line)?.[2];
  if (off)
    return failure("iommu", "on", `the kernel's command line turns it off: ${off}`, `boot without ${off}`);
  if (units.length > 0)
    return failure(
      "iommu",
      "on",
      `${units.join(", ")}, and no device has a group`,
      "look for errors of the IOMMU's driver in dmesg",
    );
  for (const [table, remedy] of Object.entries(TABLES)) {
    if (files.exists(`/sys/firmware/acpi/tables/${table}`)) {
      return failure(
        "iommu",
        "on",
        `firmware describes one (ACPI table ${table}), and the kernel does not use it`,
        remedy,
      );
    }
  }
  return failure(
    "iommu",
    "on",
    "neither firmware nor the kernel shows one",
    "enable VT-d, AMD-Vi or the SMMU in the firmware's setup; give a virtual machine one",
  );
}

/** What drivers of the host get; a guest's devices get a domain of their own in any case. */
function mode(files: HostFiles, groups: readonly string[]): Finding {
  const types = groups
    .map((group) => files.read(`${GROUPS}/${group}/type`))
    .filter((type) => type !== undefined);
  const counts = [...new Set(types)].map((type) => `${types.filter((each) => each === type).length} ${type}`);
  return ok(
    "iommu",
    "translation",
    counts.length > 0
      ? `domains of the groups: ${counts.join(", ")}`
      : "the groups do not tell their domains",
  );
}

/** VT-d's capability register: MGAW in bits 21:16, less one. */
function apertures(files: HostFiles, units: readonly string[]): Finding[] {
  return units.flatMap((unit) => {
    const cap = files.read(`/sys/class/iommu/${unit}/intel-iommu/cap`);
    if (cap === undefined || !/^[0-9a-f]+$/i.test(cap)) return [];
    const bits = Number((BigInt(`0x${cap}`) >> 16n) & 0x3fn) + 1;
    const evidence = `${unit} translates ${bits} bits of addresses`;
    if (bits >= 48) return [ok("iommu", "aperture", evidence)];
    return [
      warning(
        "iommu",
        "aperture",
        evidence,
        `start guests with -cpu host,host-phys-bits-limit=${bits}, and see what fits: iovactl check`,
      ),
    ];
  });
}

/** VT-d's extended capability register: IR in bit 3. */
function remapping(files: HostFiles, units: readonly string[]): Finding[] {
  const line = files.read("/proc/cmdline") ?? "";
  const off = /(^|\s)(intremap=off|nointremap)\b/.exec(line)?.[2];
  if (off)
    return [
      failure(
        "iommu",
        "interrupt remapping",
        `the kernel's command line turns it off: ${off}`,
        `boot without ${off}`,
      ),
    ];
  const without = units.filter((unit) => {
    const ecap = files.read(`/sys/class/iommu/${unit}/intel-iommu/ecap`);
    return ecap !== undefined && /^[0-9a-f]+$/i.test(ecap) && (BigInt(`0x${ecap}`) & 8n) === 0n;
  });
  if (without.length > 0)
    return [
      warning(
        "iommu",
        "interrupt remapping",
        `${without.join(", ")} cannot`,
        "enable it in the firmware's setup; without it VFIO refuses devices (no-isolated-msi)",
      ),
    ];
  return units.some((unit) => files.exists(`/sys/class/iommu/${unit}/intel-iommu/ecap`))
    ? [ok("iommu", "interrupt remapping", "every unit can")]
    : [];
}

const UNSAFE = [
  [
    "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
    "devices without an IOMMU are given out: nothing keeps their DMA in",
  ],
  [
    "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
    "guests may raise each other's interrupts",
  ],
  ["/sys/module/iommufd/parameters/allow_unsafe_interrupts", "guests may raise each other's interrupts"],
] as const;

function unsafe(files: HostFiles): Finding[] {
  const on = UNSAFE.filter(([path]) => files.read(path) === "Y").map(([path, what]) =>
    warning("iommu", "unsafe options", `${path} is Y: ${what}`, "turn it off unless you trust every guest"),
  );
  const override = /(^|\s)(pcie_acs_override=\S+)/.exec(files.read("/proc/cmdline") ?? "")?.[2];
  if (override)
    on.push(
      warning(
        "iommu",
        "unsafe options",
        `${override}: groups are smaller than the hardware isolates`,
        "boot without it unless you trust every guest",
      ),
    );
  return on.length > 0 ? on : [ok("iommu", "unsafe options", "none is on")];
}
