import { Iommufd, type IovaRanges } from "../../kernel/iommufd.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import { VfioDevice } from "../../kernel/vfio.ts";
import { HostError } from "../errors.ts";
import {
  type BindEvidence,
  bindFailure,
  changing,
  foreseenFailure,
  kernelError,
  openDeviceFailure,
  openIommufdFailure,
  withoutIommu,
} from "../failures.ts";
import type { Backend, Knowledge } from "../knowledge/knowledge.ts";
import { findBlockers } from "../platform/blockers.ts";
import { isOnVfioDriver, type Platform, type PlatformDevice } from "../platform/platform.ts";
import type { HeldDevice, HeldDevices } from "./held-devices.ts";
import { hasLegacyPath, legacyProbe } from "./legacy-probe.ts";

/** How many names of missing devices a message has; its data has all. */
const LISTED = 8;

/** Takes devices from the platform into an iommufd. Every failure closes what it opened and is a HostError. */
export class Binding {
  readonly #kernel: Kernel;
  readonly #platform: Platform;
  readonly #knowledge: Knowledge;
  readonly #devices: HeldDevices;

  constructor(kernel: Kernel, platform: Platform, knowledge: Knowledge, devices: HeldDevices) {
    this.#kernel = kernel;
    this.#platform = platform;
    this.#knowledge = knowledge;
    this.#devices = devices;
  }

  /** @throws HostError DeviceNotFound */
  find(device: string): PlatformDevice {
    const found = this.#platform.find(device);
    if (found) return found;
    throw new HostError(
      "DeviceNotFound",
      `no device ${device} with an IOMMU group on this host; query-devices lists them`,
      { device },
    );
  }

  /** Whether a VFIO device has left VFIO, or is about to: its driver's unbind waits until it is closed. */
  hasLeft({ device, vfioDevice }: PlatformDevice): boolean {
    return this.#platform.find(device)?.vfioDevice !== vfioDevice;
  }

  /** The devices of these names, each once. @throws HostError DeviceNotFound that names all that are missing */
  findAll(names: Iterable<string>): PlatformDevice[] {
    const wanted = [...new Set(names)];
    const found = this.#platform.findAll(wanted);
    const missing = wanted.filter((name) => !found.has(name));
    if (missing.length === 0) return wanted.flatMap((name) => found.get(name) ?? []);
    const [first] = missing;
    if (first !== undefined && missing.length === 1) return [this.find(first)];
    const listed = missing.slice(0, LISTED).join(", ") + (missing.length > LISTED ? ", …" : "");
    throw new HostError(
      "DeviceNotFound",
      `no devices ${listed} with an IOMMU group on this host; query-devices lists them`,
      { devices: missing },
    );
  }

  /** Opens the device's cdev and binds it. */
  async bind(device: PlatformDevice, iommufd: Iommufd): Promise<{ vfio: VfioDevice; deviceId: number }> {
    const vfio = this.open(device);
    try {
      return { vfio, deviceId: await vfio.bind(iommufd.fd) };
    } catch (error) {
      await vfio.close().catch(() => undefined);
      throw bindFailure(error, device, this.#evidence(device, iommufd));
    }
  }

  /**
   * What an IOAS allows that has only this device in it; where iommufd or the device's cdev is missing, what VFIO's type1
   * allows for its group. Leaves nothing open, and nothing attached.
   */
  async probe(device: PlatformDevice): Promise<IovaRanges & { readonly backend: Backend }> {
    if (this.#isLegacy(device)) {
      const answer = await legacyProbe(this.#kernel, device, () => this.#evidence(device));
      return { ...answer, backend: "vfio-type1" };
    }
    return { ...(await this.#probe(device)), backend: "iommufd" };
  }

  async #probe(device: PlatformDevice): Promise<IovaRanges> {
    this.#refuseUnready(device);
    const iommufd = this.#openIommufd();
    try {
      const ioas = iommufd.allocIoas();
      const { vfio } = await this.bind(device, iommufd);
      try {
        await vfio.attach(ioas).catch((error) => {
          throw kernelError(error, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
        });
        return await iommufd.iovaRanges(ioas).catch((error) => {
          throw kernelError(error, "IOMMU_IOAS_IOVA_RANGES");
        });
      } finally {
        await vfio.close().catch(() => undefined);
      }
    } catch (error) {
      throw error instanceof HostError ? error : kernelError(error, "IOMMU_IOAS_ALLOC");
    } finally {
      await iommufd.close().catch(() => undefined);
    }
  }

  /** Whether only groups and containers can serve the device, and do. */
  #isLegacy(device: PlatformDevice): boolean {
    if (device.noIommu || (device.cdev && this.#platform.hasIommufd)) return false;
    return isOnVfioDriver(device) && hasLegacyPath(this.#kernel, device);
  }

  /** `iommufd`: whose own devices are not in the way. */
  #evidence(device: PlatformDevice, iommufd?: Iommufd): BindEvidence {
    const host = this.#platform.devices().map((each) => ({
      device: each,
      regions: this.#knowledge.regions(each).regions,
    }));
    const group = host.map((each) => each.device).filter((each) => each.group === device.group);
    const isElsewhere = (held: HeldDevice | undefined) => held && held.context.open() !== iommufd;
    return {
      blockers: findBlockers(device, host),
      heldElsewhere: group.map((each) => each.device).filter((name) => isElsewhere(this.#devices.get(name))),
      openers: this.#platform.openers(group),
      boundElsewhere: group
        .filter((each) => isOnVfioDriver(each) && !this.#devices.get(each.device))
        .filter((each) => this.#platform.isEnabled(each))
        .map((each) => each.device),
    };
  }

  #openIommufd(): Iommufd {
    try {
      return Iommufd.open(this.#kernel);
    } catch (error) {
      throw openIommufdFailure(error);
    }
  }

  /**
   * Opens the device's cdev, unbound. By the time of the open its name may have become another device's, so the number
   * is compared with the one in sysfs, which stays while the device is open.
   */
  open(device: PlatformDevice): VfioDevice {
    this.#refuseUnready(device);
    let vfio: VfioDevice;
    try {
      vfio = VfioDevice.open(this.#kernel, device.vfioDevice as string);
    } catch (error) {
      throw openDeviceFailure(error, device);
    }
    let isSame = false;
    try {
      isSame = this.#kernel.deviceNumber(vfio.fd) === this.#platform.cdevNumber(device);
    } finally {
      if (!isSame) void vfio.close().catch(() => undefined);
    }
    if (isSame) return vfio;
    throw changing(device.device);
  }

  /** @throws HostError DeviceBusy, DeviceBlocked when a bind by anybody is sure to fail, as far as can be told before */
  refuseHopeless(device: PlatformDevice, iommufd: Iommufd): void {
    const failure = foreseenFailure(device, this.#evidence(device, iommufd));
    if (failure) throw failure;
  }

  #refuseUnready(platform: PlatformDevice): void {
    const { device, driver, cdev } = platform;
    if (!isOnVfioDriver(platform)) {
      throw new HostError(
        "DeviceNotReady",
        `${device} is bound to ${driver ?? "no driver"}; bind it to vfio-pci first (driverctl set-override ${device} vfio-pci)`,
        { driver },
      );
    }
    if (platform.noIommu) throw withoutIommu(device);
    if (!cdev) {
      throw new HostError(
        "DeviceNotReady",
        `${device} has no node in /dev/vfio/devices; it takes Linux 6.6 or later with CONFIG_VFIO_DEVICE_CDEV`,
        { driver, missing: "CONFIG_VFIO_DEVICE_CDEV" },
      );
    }
  }
}
