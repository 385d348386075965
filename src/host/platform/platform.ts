import { basename } from "node:path/posix";
import { type Kernel, SystemCallError } from "../../kernel/kernel.ts";
import type { IommuTraits } from "./aperture-estimate.ts";

const GROUPS = "/sys/kernel/iommu_groups";

/** A device of this host that has an IOMMU group, as sysfs shows it at this moment. */
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

  /** Every device in an IOMMU group, sorted by name. */
  devices(): PlatformDevice[] {
    return this.#groups()
      .flatMap((group) => this.members(group).map((device) => this.#read(device, group)))
      .sort((a, b) => (a.device < b.device ? -1 : 1));
  }

  /** The device of that name, or undefined when there is none or it has no IOMMU group. */
  find(device: string): PlatformDevice | undefined {
    const group = this.#groups().find((candidate) => this.#kernel.exists(this.#path(device, candidate)));
    return group === undefined ? undefined : this.#read(device, group);
  }

  /** Those that there are, by name. */
  findAll(names: readonly string[]): Map<string, PlatformDevice> {
    // A few are looked for in every group; for many it is cheaper to read every device.
    const found = names.length <= 8 ? names.flatMap((name) => this.find(name) ?? []) : this.devices();
    return new Map(found.map((device) => [device.device, device]));
  }

  /** The names of the group's devices, sorted; empty when the group is gone. */
  members(group: number): string[] {
    return this.#list(`${GROUPS}/${group}/devices`).sort();
  }

  /** The driver that a group's device is bound to, or null. */
  driver(device: string, group: number): string | null {
    return this.#linkName(`${this.#path(device, group)}/driver`);
  }

  /** The text of the group's `reserved_regions`; empty when the group is gone. */
  reservedRegions(group: number): string {
    return this.#optional(() => this.#kernel.readFile(`${GROUPS}/${group}/reserved_regions`)) ?? "";
  }

  /** What is known of the device's IOMMU without asking the kernel for an IO address space. */
  iommuTraits({ device, group }: PlatformDevice): IommuTraits {
    const text = (path: string) => this.#optional(() => this.#kernel.readFile(path))?.trim() ?? null;
    const iommu = `${this.#path(device, group)}/iommu`;
    return {
      cap: text(`${iommu}/intel-iommu/cap`),
      ecap: text(`${iommu}/intel-iommu/ecap`),
      features: text(`${iommu}/amd-iommu/features`),
      ivrs: this.#optional(() => this.#kernel.readFile("/sys/firmware/acpi/tables/IVRS", "latin1")) ?? null,
      commandLine: text("/proc/cmdline"),
    };
  }

  /** The number of the device's cdev as sysfs has it, "major:minor"; null when it has none. */
  cdevNumber({ device, group, vfioDevice }: PlatformDevice): string | null {
    const path = `${this.#path(device, group)}/vfio-dev/${vfioDevice}/dev`;
    return this.#optional(() => this.#kernel.readFile(path))?.trim() ?? null;
  }

  /**
   * Whether a VFIO device is bound by anybody on this host: vfio-pci enables it for as long as it is (`drivers/vfio/pci/
   * vfio_pci_core.c: vfio_pci_core_enable`). False for a device that is not PCI, of which sysfs does not tell.
   */
  isEnabled({ device, group }: PlatformDevice): boolean {
    const text = this.#optional(() => this.#kernel.readFile(`${this.#path(device, group)}/enable`));
    return Number(text ?? 0) > 0;
  }

  /**
   * The processes, other than this one, that have a cdev or a group of the devices open, as far as /proc shows them. Reads
   * every descriptor of the host: not for what is asked often.
   */
  openers(devices: readonly PlatformDevice[]): number[] {
    const nodes = new Set(
      devices.flatMap(({ vfioDevice, group }) => [`/dev/vfio/devices/${vfioDevice}`, `/dev/vfio/${group}`]),
    );
    return this.#list("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== this.#kernel.pid)
      .filter((pid) =>
        this.#list(`/proc/${pid}/fd`).some((fd) =>
          nodes.has(this.#optional(() => this.#kernel.readLink(`/proc/${pid}/fd/${fd}`)) ?? ""),
        ),
      )
      .map(Number);
  }

  /** Whether any device has an IOMMU group. */
  get hasGroups(): boolean {
    return this.#groups().length > 0;
  }

  get hasIommufd(): boolean {
    return this.#kernel.exists("/dev/iommu");
  }

  /** Whether this kernel makes cdevs at all (`drivers/vfio/device_cdev.c: vfio_cdev_init`), even with none in use. */
  get hasVfioCdev(): boolean {
    if (this.#kernel.exists("/dev/vfio/devices")) return true;
    return this.#optional(() => /^\s*\d+ vfio-dev$/m.test(this.#kernel.readFile("/proc/devices"))) ?? false;
  }

  #groups(): number[] {
    return this.#list(GROUPS)
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  }

  #read(device: string, group: number): PlatformDevice {
    const path = this.#path(device, group);
    const vfioDevice = this.#list(`${path}/vfio-dev`).find((name) => /^(noiommu-)?vfio/.test(name)) ?? null;
    return {
      device,
      group,
      driver: this.driver(device, group),
      vfioDevice,
      cdev: vfioDevice !== null && this.#kernel.exists(`/dev/vfio/devices/${vfioDevice}`),
      iommu: this.#linkName(`${path}/iommu`),
      noIommu: this.#isNoIommu(vfioDevice, group),
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
