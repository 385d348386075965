import { Device } from "./device.ts";
import { Errno } from "./errno.ts";
import { IommuGroup } from "./group.ts";
import type { Topology } from "./topology.ts";
import { VfioDevice } from "./vfio-device.ts";

/** Names of VFIO drivers have the word: vfio-pci, vfio-platform, mlx5_vfio_pci. */
const VFIO_DRIVER = /(^|[-_])vfio([-_]|$)/;

/** The simulated host: its devices and groups, and the drivers they are bound to. */
export class Machine {
  readonly kernel: Topology["kernel"];
  readonly devices: ReadonlyMap<string, Device>;
  readonly groups: ReadonlyMap<number, IommuGroup>;
  /** The VFIO devices by name. */
  readonly vfioDevices = new Map<string, VfioDevice>();
  /** The numbers of VFIO devices, also of those that are gone but open. */
  readonly #numbers = new Set<number>();

  constructor(topology: Topology) {
    this.kernel = topology.kernel;
    const iommus = new Map(topology.iommus.map((iommu) => [iommu.name, iommu]));
    const groups = new Map<number, IommuGroup>();
    const devices = new Map<string, Device>();
    for (const entry of topology.devices) {
      let group: IommuGroup | null = null;
      if (entry.group !== null) {
        group = groups.get(entry.group) ?? new IommuGroup(entry.group);
        groups.set(group.id, group);
      }
      const iommu = entry.iommu === null ? null : (iommus.get(entry.iommu) ?? null);
      const device = new Device(entry, iommu, group);
      devices.set(device.name, device);
      this.#probe(device, entry.driver);
    }
    this.groups = groups;
    this.devices = devices;
  }

  /** Whether VFIO devices have nodes in /dev/vfio/devices: CONFIG_VFIO_DEVICE_CDEV depends on CONFIG_IOMMUFD. */
  get hasVfioCdev(): boolean {
    return this.kernel.iommufd && this.kernel.vfioCdev;
  }

  /**
   * Binds the device to a driver, or to none. It leaves a VFIO driver at once, but only when every file of the VFIO
   * device is closed does this settle, as the write to sysfs would block. Throws EBUSY when user space owns the
   * group's DMA; the device is then unbound.
   */
  async setDriver(device: Device, driver: string | null): Promise<void> {
    const { vfio } = device;
    device.driver = null;
    device.vfio = null;
    if (vfio !== null) {
      this.vfioDevices.delete(vfio.name);
      await vfio.unused();
      this.#numbers.delete(vfio.number);
    }
    if (driver !== null && device.group?.admits(driver) === false) throw new Errno("EBUSY");
    this.#probe(device, driver);
  }

  /** VFIO takes the lowest free number, and leaves devices without an IOMMU group alone. */
  #probe(device: Device, driver: string | null): void {
    device.driver = driver;
    if (driver === null || device.group === null || !VFIO_DRIVER.test(driver)) return;
    let number = 0;
    while (this.#numbers.has(number)) number++;
    this.#numbers.add(number);
    device.vfio = new VfioDevice(number, device);
    this.vfioDevices.set(device.vfio.name, device.vfio);
  }
}
