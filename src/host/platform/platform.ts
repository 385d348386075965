import { basename } from "node:path/posix";
import { type Kernel, SystemCallError } from "../../kernel/kernel.ts";
import type { IommuTraits } from "./aperture-estimate.ts";

const GROUPS = "/sys/kernel/iommu_groups";
/** A PCI device's name: domain, bus, device, function. */
const PCI_NAME = /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/;

/** What a PCI device is, in sysfs's words: "0x8086". */
export interface PciIds {
  readonly vendor: string;
  readonly device: string;
  readonly class: string;
  readonly subsystemVendor: string;
  readonly subsystemDevice: string;
}

/** A device of this host that has an IOMMU group, as sysfs showed it when it was looked at. */
export interface PlatformDevice {
  /** The sysfs name, e.g. "0000:00:05.0". */
  readonly device: string;
  readonly group: number;
  readonly driver: string | null;
  /** The VFIO device's name, e.g. "vfio0", "noiommu-vfio0" without an IOMMU; null unless a VFIO driver is bound. */
  readonly vfioDevice: string | null;
  /** Whether the VFIO device has its node in /dev/vfio/devices. */
  readonly cdev: boolean;
  /** The IOMMU's name, e.g. "dmar0"; null where the kernel shows none. */
  readonly iommu: string | null;
  /** VFIO gives it out with no IOMMU in between, as its `enable_unsafe_noiommu_mode` has it: it may reach any memory. */
  readonly noIommu: boolean;
  /** Null for a device that is not PCI. */
  readonly pci: PciIds | null;
  /** The memory that is nearest; null where the firmware does not tell. */
  readonly numaNode: number | null;
}

/** Whether a VFIO driver has the device; before Linux 6.1 only the driver's name tells. */
export function isOnVfioDriver({ driver, vfioDevice }: PlatformDevice): boolean {
  return vfioDevice !== null || (driver !== null && /vfio/.test(driver));
}

/** What sysfs says of devices and groups. Nothing is kept: every answer is read when it is asked for. */
export class Platform {
  readonly #kernel: Kernel;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** The device of that name, or undefined when there is none or it has no IOMMU group. */
  find(device: string): PlatformDevice | undefined {
    const group = this.groupOf(device);
    return group === undefined ? undefined : this.read(device, group);
  }

  /** The group of the device of that name, by its bus: however many groups there are. */
  groupOf(device: string): number | undefined {
    for (const bus of PCI_NAME.test(device) ? ["pci"] : this.#list("/sys/bus")) {
      const group = this.#linkName(`/sys/bus/${bus}/devices/${device}/iommu_group`);
      if (group !== null && /^\d+$/.test(group)) return Number(group);
    }
    return undefined;
  }

  /** The numbers of all groups. */
  groups(): number[] {
    return this.#list(GROUPS)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  }

  isMember(device: string, group: number): boolean {
    return this.#kernel.exists(this.#path(device, group));
  }

  /** A device of a group. `before`: what is known of it that stays for as long as it is there. */
  read(device: string, group: number, before?: Pick<PlatformDevice, "pci" | "numaNode">): PlatformDevice {
    const path = this.#path(device, group);
    const vfioDevice = this.#list(`${path}/vfio-dev`).find((name) => /^(noiommu-)?vfio/.test(name)) ?? null;
    return {
      device,
      group,
      driver: this.#linkName(`${path}/driver`),
      vfioDevice,
      cdev: vfioDevice !== null && this.#kernel.exists(`/dev/vfio/devices/${vfioDevice}`),
      iommu: this.#linkName(`${path}/iommu`),
      noIommu: this.#isNoIommu(vfioDevice, group),
      ...(before ? { pci: before.pci, numaNode: before.numaNode } : this.#identity(path)),
    };
  }

  /** The names of the group's devices, sorted; empty when the group is gone. */
  members(group: number): string[] {
    return this.#list(`${GROUPS}/${group}/devices`).sort();
  }

  /** The text of the group's `reserved_regions`; empty when the group is gone. */
  reservedRegions(group: number): string {
    return this.#optional(() => this.#kernel.readFile(`${GROUPS}/${group}/reserved_regions`)) ?? "";
  }

  /** What is known of the device's IOMMU without asking the kernel for an IO address space. */
  iommuTraits({ device, group }: PlatformDevice): IommuTraits {
    const iommu = `${this.#path(device, group)}/iommu`;
    return {
      cap: this.#text(`${iommu}/intel-iommu/cap`),
      ecap: this.#text(`${iommu}/intel-iommu/ecap`),
      features: this.#text(`${iommu}/amd-iommu/features`),
      ivrs: this.#optional(() => this.#kernel.readFile("/sys/firmware/acpi/tables/IVRS", "latin1")) ?? null,
      commandLine: this.#text("/proc/cmdline"),
    };
  }

  /** The number of the device's cdev as sysfs has it, "major:minor"; null when it has none. */
  cdevNumber({ device, group, vfioDevice }: PlatformDevice): string | null {
    return this.#text(`${this.#path(device, group)}/vfio-dev/${vfioDevice}/dev`);
  }

  /**
   * Whether a VFIO device is bound by anybody on this host: vfio-pci enables it for as long as it is (`drivers/vfio/pci/
   * vfio_pci_core.c: vfio_pci_core_enable`). False for a device that is not PCI, of which sysfs does not tell.
   */
  isEnabled({ device, group }: Pick<PlatformDevice, "device" | "group">): boolean {
    return Number(this.#text(`${this.#path(device, group)}/enable`) ?? 0) > 0;
  }

  /** Whether any device has an IOMMU group. Most often there is one of the lowest number (iommu_group_alloc: ida_alloc). */
  get hasGroups(): boolean {
    return this.#kernel.exists(`${GROUPS}/0`) || this.groups().length > 0;
  }

  get hasIommufd(): boolean {
    return this.#kernel.exists("/dev/iommu");
  }

  /** Whether this kernel makes cdevs at all (`drivers/vfio/device_cdev.c: vfio_cdev_init`), even with none in use. */
  get hasVfioCdev(): boolean {
    if (this.#kernel.exists("/dev/vfio/devices")) return true;
    return this.#optional(() => /^\s*\d+ vfio-dev$/m.test(this.#kernel.readFile("/proc/devices"))) ?? false;
  }

  #identity(path: string): Pick<PlatformDevice, "pci" | "numaNode"> {
    const vendor = this.#text(`${path}/vendor`);
    const node = Number(this.#text(`${path}/numa_node`) ?? -1);
    const word = (name: string) => this.#text(`${path}/${name}`) ?? "";
    return {
      pci:
        vendor === null
          ? null
          : {
              vendor,
              device: word("device"),
              class: word("class"),
              subsystemVendor: word("subsystem_vendor"),
              subsystemDevice: word("subsystem_device"),
            },
      numaNode: node >= 0 ? node : null,
    };
  }

  /** By the cdev's name, from Linux 7.3 on (`drivers/vfio/vfio_main.c`), or by the group's (`drivers/vfio/group.c`). */
  #isNoIommu(vfioDevice: string | null, group: number): boolean {
    if (vfioDevice === null) return false;
    return vfioDevice.startsWith("noiommu-") || this.#kernel.exists(`/dev/vfio/noiommu-${group}`);
  }

  #path(device: string, group: number): string {
    return `${GROUPS}/${group}/devices/${device}`;
  }

  #linkName(path: string): string | null {
    const target = this.#optional(() => this.#kernel.readLink(path));
    return target === undefined ? null : basename(target);
  }

  #text(path: string): string | null {
    return this.#optional(() => this.#kernel.readFile(path))?.trim() ?? null;
  }

  #list(path: string): string[] {
    return this.#optional(() => this.#kernel.readDirectory(path)) ?? [];
  }

  /** Devices vanish while they are being read: what is gone is absent, not an error. */
  #optional<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (error instanceof SystemCallError && GONE.has(error.code)) return undefined;
      throw error;
    }
  }
}

const GONE: ReadonlySet<string> = new Set([
  "ENOENT",
  "ENODEV",
  "ENOTDIR",
  "ENXIO",
  "ESRCH",
  "EACCES",
  "EPERM",
]);
