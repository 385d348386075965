import { Device } from "./device.ts";
import { Errno } from "./errno.ts";
import { IommuGroup } from "./group.ts";
import type { Topology, TopologyDevice, TopologyIommu } from "./topology.ts";
import { VfioDevice } from "./vfio-device.ts";
import { VfioGroup } from "./vfio-group.ts";

/** Names of VFIO drivers have the word: vfio-pci, vfio-platform, mlx5_vfio_pci. */
const VFIO_DRIVER = /(^|[-_])vfio([-_]|$)/;

/** The simulated host: its devices and groups, and the drivers they are bound to. */
export class Machine {
  readonly kernel: Topology["kernel"];
  /** See Topology. */
  readonly files: Topology["files"];
  /** The VFIO devices by name. */
  readonly vfioDevices = new Map<string, VfioDevice>();
  /** By the number of the IOMMU group, which is the name of the node. */
  readonly vfioGroups = new Map<string, VfioGroup>();
  /** Called when a device, its VFIO device or its driver has come or gone (kobject_uevent). */
  uevent: (action: string, device: string) => void = () => {};
  readonly #iommus: ReadonlyMap<string, TopologyIommu>;
  readonly #groups = new Map<number, IommuGroup>();
  readonly #devices = new Map<string, Device>();
  /** The numbers of VFIO devices, also of those that are gone but open. */
  readonly #numbers = new Set<number>();
  /** The change of each device's driver that is under way: its end, which never rejects. */
  readonly #changing = new Map<Device, Promise<void>>();

  constructor(topology: Topology) {
    this.kernel = topology.kernel;
    this.files = topology.files;
    this.#iommus = new Map(topology.iommus.map((iommu) => [iommu.name, iommu]));
    for (const entry of topology.devices) this.add(entry);
  }

  get devices(): ReadonlyMap<string, Device> {
    return this.#devices;
  }

  get groups(): ReadonlyMap<number, IommuGroup> {
    return this.#groups;
  }

  /** Whether VFIO devices have nodes in /dev/vfio/devices: CONFIG_VFIO_DEVICE_CDEV depends on CONFIG_IOMMUFD. */
  get hasVfioCdev(): boolean {
    return this.kernel.iommufd && this.kernel.vfioCdev;
  }

  /** A device appears, and its driver takes it. */
  add(entry: TopologyDevice): void {
    let group: IommuGroup | null = null;
    if (entry.group !== null) {
      group = this.#groups.get(entry.group) ?? new IommuGroup(entry.group);
      this.#groups.set(group.id, group);
    }
    const iommu = entry.iommu === null ? null : (this.#iommus.get(entry.iommu) ?? null);
    const device = new Device(entry, iommu, group);
    this.#devices.set(device.name, device);
    this.uevent("add", device.name);
    this.#probe(device, entry.driver);
  }

  /** The device leaves its driver, which may have to wait, and then the host. A group ends with its last device. */
  async remove(device: Device): Promise<void> {
    await this.#locked(device, () => this.#remove(device));
  }

  async #remove(device: Device): Promise<void> {
    await this.#setDriver(device, null);
    this.#devices.delete(device.name);
    device.leaveGroup();
    const { group } = device;
    if (group?.devices.length === 0) this.#groups.delete(group.id);
    this.uevent("remove", device.name);
  }

  /**
   * Binds the device to a driver, or to none. It leaves a VFIO driver at once, but only when every file of the VFIO
   * device is closed does this settle, as the write to sysfs would block; whoever has it bound is asked for it. Throws
   * EBUSY when user space owns the group's DMA; the device is then unbound.
   */
  async setDriver(device: Device, driver: string | null): Promise<void> {
    await this.#locked(device, () => this.#setDriver(device, driver));
  }

  /** One at a time, as under the kernel's lock of the device (device_lock). Rejects with ENODEV when it has gone meanwhile. */
  async #locked(device: Device, change: () => Promise<void>): Promise<void> {
    while (this.#changing.has(device)) await this.#changing.get(device);
    if (this.#devices.get(device.name) !== device) throw new Errno("ENODEV");
    const changed = change().finally(() => this.#changing.delete(device));
    this.#changing.set(
      device,
      changed.catch(() => undefined),
    );
    await changed;
  }

  async #setDriver(device: Device, driver: string | null): Promise<void> {
    const { vfio } = device;
    const wasBound = device.driver !== null;
    device.driver = null;
    device.vfio = null;
    if (vfio !== null) await this.#unregister(vfio);
    if (wasBound) this.uevent("unbind", device.name);
    if (driver !== null && device.group?.admits(driver) === false) throw new Errno("EBUSY");
    this.#probe(device, driver);
  }

  /** vfio_unregister_group_dev */
  async #unregister(vfio: VfioDevice): Promise<void> {
    this.vfioDevices.delete(vfio.name);
    this.uevent("remove", vfio.name);
    await vfio.unused();
    this.#numbers.delete(vfio.number);
    const { group } = vfio;
    if (--group.drivers > 0 || group.iommuGroup === null) return;
    this.vfioGroups.delete(String(group.iommuGroup.id));
    group.revoke();
  }

  /** VFIO takes the lowest free number, and leaves devices without an IOMMU group alone. */
  #probe(device: Device, driver: string | null): void {
    device.driver = driver;
    if (driver === null) return;
    if (device.group !== null && VFIO_DRIVER.test(driver)) this.#register(device, device.group);
    this.uevent("bind", device.name);
  }

  #register(device: Device, iommuGroup: IommuGroup): void {
    let number = 0;
    while (this.#numbers.has(number)) number++;
    this.#numbers.add(number);
    const name = String(iommuGroup.id);
    const group = this.vfioGroups.get(name) ?? new VfioGroup(iommuGroup);
    this.vfioGroups.set(name, group);
    group.drivers++;
    device.vfio = new VfioDevice(number, device, group);
    this.vfioDevices.set(device.vfio.name, device.vfio);
    this.uevent("add", device.vfio.name);
  }
}
