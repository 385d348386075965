import type { Iommufd, IovaRanges } from "../../kernel/iommufd.ts";
import { ifPossible, type Kernel } from "../../kernel/kernel.ts";
import { VfioDevice } from "../../kernel/vfio.ts";
import { finish } from "../../ranges/steps.ts";
import type { Context } from "../contexts/context.ts";
import { openIommufd } from "../contexts/open-failures.ts";
import { HostError } from "../errors.ts";
import { kernelError, readable, readableNow } from "../failures.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import type { LastingBlockers } from "../knowledge/lasting-blockers.ts";
import type { Backend } from "../knowledge/learnt.ts";
import type { Census } from "../platform/census.ts";
import { isOnVfioDriver, type Platform, type PlatformDevice } from "../platform/platform.ts";
import type { Users } from "../platform/users.ts";
import {
  type BindEvidence,
  bindFailure,
  foreseenFailure,
  inOtherContext,
  withoutIommu,
} from "./bind-failures.ts";
import {
  attachFailure,
  changingDriver,
  deviceNotFound,
  noCdevs,
  openDeviceFailure,
  withoutCdev,
} from "./device-failures.ts";
import type { HandedOverDevices } from "./handed-over-devices.ts";
import type { HeldDevices } from "./held-devices.ts";
import { hasLegacyPath, legacyProbe } from "./legacy-probe.ts";
import { attachInsisting, isLearnt, type Refusals } from "./refusals.ts";

export interface BindingParts {
  readonly kernel: Kernel;
  readonly platform: Platform;
  readonly census: Census;
  readonly users: Users;
  readonly knowledge: Knowledge;
  readonly lasting: LastingBlockers;
  readonly devices: HeldDevices;
  readonly handedOver: HandedOverDevices;
  readonly refusals: Refusals;
}

/** Takes devices from the platform into an iommufd. Every failure closes what it opened and is a HostError. */
export class Binding {
  readonly #parts: BindingParts;

  constructor(parts: BindingParts) {
    this.#parts = parts;
  }

  /** @throws HostError DeviceNotFound */
  find(device: string): PlatformDevice {
    const found = readableNow(() => this.#parts.census.find(device));
    if (found) return found;
    throw deviceNotFound(device, this.#parts.census);
  }

  /** Whether a VFIO device has left VFIO, or is about to: its driver's unbind waits until it is closed. */
  hasLeft({ device, vfioDevice }: PlatformDevice): boolean {
    return this.#parts.platform.find(device)?.vfioDevice !== vfioDevice;
  }

  /** Opens the device's cdev and binds it: in the context, or without one in an iommufd of nobody else's. */
  async bind(
    device: PlatformDevice,
    iommufd: Iommufd,
    context?: Context,
  ): Promise<{ vfio: VfioDevice; deviceId: number }> {
    this.#refuseUnready(device);
    await this.#refuseDivided(device, context);
    const vfio = this.open(device);
    try {
      const deviceId = await vfio.bind(iommufd.fd);
      this.#parts.refusals.bound(device);
      return { vfio, deviceId };
    } catch (error) {
      await vfio.close().catch(() => undefined);
      throw this.#parts.refusals.learn(
        device,
        bindFailure(error, device, await this.#evidence(device, context)),
      );
    }
  }

  /**
   * What an IOAS allows that has only this device in it; where iommufd or the device's cdev is missing, what VFIO's type1
   * allows for its group. Leaves nothing open, and nothing attached.
   */
  async probe(device: PlatformDevice): Promise<IovaRanges & { readonly backend: Backend }> {
    if (this.#isLegacy(device)) {
      await this.#refuseDivided(device);
      try {
        const answer = await legacyProbe(this.#parts.kernel, device, () => this.#evidence(device));
        this.#parts.refusals.bound(device);
        return { ...answer, backend: "vfio-type1" };
      } catch (error) {
        throw error instanceof HostError ? this.#parts.refusals.learn(device, error) : error;
      }
    }
    return { ...(await this.#probe(device)), backend: "iommufd" };
  }

  async #probe(device: PlatformDevice): Promise<IovaRanges> {
    this.#refuseUnready(device);
    const iommufd = openIommufd(this.#parts.kernel);
    try {
      const ioas = iommufd.allocIoas();
      const { vfio } = await this.bind(device, iommufd);
      try {
        await attachInsisting(vfio, ioas).catch((error) => {
          throw this.#parts.refusals.learn(device, attachFailure(error, device.device, undefined));
        });
        this.#parts.refusals.attached(device);
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
    if (device.noIommu || (device.cdev && this.#parts.platform.hasIommufd)) return false;
    return isOnVfioDriver(device) && hasLegacyPath(this.#parts.kernel, device);
  }

  /** `context`: whose own devices are not in the way, held or handed over. */
  async #evidence(device: PlatformDevice, context?: Context): Promise<BindEvidence> {
    const { census, devices, handedOver, lasting, platform, users } = this.#parts;
    // What cannot be read is no evidence; the refusal itself still is.
    ifPossible(() => finish(census.look(device.group)));
    const group = [...(census.group(device.group)?.devices.values() ?? [])];
    const isGuests = (each: PlatformDevice) =>
      context !== undefined && handedOver.shown(each.device)?.context === context;
    const openers = (await users.of(group.filter((each) => !isGuests(each)))) ?? [];
    return {
      blockers: lasting.of(device).filter((blocker) => !isLearnt(blocker)),
      elsewhere: this.#elsewhere(device, context),
      openers: openers.map(({ pid }) => pid),
      boundElsewhere: group
        .filter((each) => isOnVfioDriver(each) && !devices.get(each.device))
        .filter((each) => ifPossible(() => platform.isEnabled(each)) ?? false)
        .map((each) => each.device),
    };
  }

  /** Devices of the group that the daemon holds in another context, or has handed over with one. */
  #elsewhere({ group }: PlatformDevice, context?: Context): string[] {
    const { census, devices, handedOver } = this.#parts;
    return [...(census.group(group)?.devices.keys() ?? [])].filter((name) => {
      const taken = devices.get(name) ?? handedOver.shown(name);
      return taken && taken.context !== context;
    });
  }

  /**
   * Rejects with HostError DeviceBusy while a client has a sibling from another context: until it has bound that, the
   * kernel would let the group go, and the client could not have what it was given.
   */
  async #refuseDivided(device: PlatformDevice, context?: Context): Promise<void> {
    const { handedOver } = this.#parts;
    const given = () => this.#elsewhere(device, context).filter((name) => handedOver.shown(name));
    await readable(handedOver.review(given()));
    const elsewhere = given();
    if (elsewhere.length > 0) throw inOtherContext(device.device, elsewhere);
  }

  /**
   * Opens the device's cdev, unbound. By the time of the open its name may have become another device's, so the number
   * is compared with the one in sysfs, which stays while the device is open.
   */
  open(device: PlatformDevice): VfioDevice {
    // It may have gone and come back since it was looked at: what becomes of it is told only of a device that was seen.
    this.find(device.device);
    let vfio: VfioDevice;
    try {
      vfio = VfioDevice.open(this.#parts.kernel, device.vfioDevice as string);
    } catch (error) {
      throw openDeviceFailure(error, device);
    }
    let isSame = false;
    try {
      const number = readableNow(() => this.#parts.platform.cdevNumber(device));
      isSame = this.#parts.kernel.deviceNumber(vfio.fd) === number;
    } finally {
      if (!isSame) void vfio.close().catch(() => undefined);
    }
    if (isSame) return vfio;
    throw changingDriver(device.device);
  }

  /** Rejects with HostError as {@link bind} does when a bind by anybody is sure to fail, as far as can be told. */
  async refuseHopeless(device: PlatformDevice, context: Context): Promise<void> {
    this.#refuseUnready(device);
    await this.#refuseDivided(device, context);
    const failure = foreseenFailure(device, await this.#evidence(device, context));
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
    if (cdev) return;
    const areMade = readableNow(() => this.#parts.platform.hasVfioCdev);
    throw areMade ? withoutCdev(platform) : noCdevs(platform);
  }
}
