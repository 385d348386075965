import type { Observer } from "../changes.ts";
import type { Context } from "../contexts/context.ts";
import { HostError } from "../errors.ts";
import type { Platform, PlatformDevice } from "../platform/platform.ts";

/** Descriptors on their way to a client. */
export interface Passage {
  /** False once the client has read the answer that carries them, or its connection is over. */
  readonly isUnderWay: boolean;
}

/** A device whose open cdev a client was given, to bind it by itself. */
interface HandedOverDevice {
  readonly platform: PlatformDevice;
  /** The context that was given with it. It may have been destroyed since: the client has a descriptor of its own. */
  readonly context: Context;
  readonly passage: Passage;
}

/**
 * The devices that clients were given. Nobody tells when a guest ends, so whenever it matters the evidence is looked
 * at: a device is back when its descriptor is not on its way, nobody has it bound, and no process has it open.
 */
export class HandedOverDevices {
  readonly #platform: Platform;
  readonly #observer: Observer;
  readonly #devices = new Map<string, HandedOverDevice>();

  constructor(platform: Platform, observer: Observer) {
    this.#platform = platform;
    this.#observer = observer;
  }

  add(handedOver: HandedOverDevice): void {
    const { platform, context } = handedOver;
    this.#devices.set(platform.device, handedOver);
    this.#observer({ event: "DEVICE_HANDED_OVER", device: platform.device, context: context.name });
  }

  /** Undefined also when the device is back; the first to find that out tells of it. */
  get(device: string): HandedOverDevice | undefined {
    const handedOver = this.#devices.get(device);
    if (!handedOver || this.#isOut(handedOver)) return handedOver;
    this.#devices.delete(device);
    this.#observer({ event: "DEVICE_RELEASED", device, context: handedOver.context.name });
    return undefined;
  }

  /** Tells of those that are back. */
  review(): void {
    for (const device of [...this.#devices.keys()]) this.get(device);
  }

  /** @throws HostError DeviceBusy while a client has the device */
  refuse(device: string): void {
    const handedOver = this.get(device);
    if (!handedOver) return;
    const context = handedOver.context.name;
    throw new HostError(
      "DeviceBusy",
      `${device} was handed over with context "${context}"; it is free again when the process that has it ends`,
      { context, processes: this.#platform.openers([handedOver.platform]) },
    );
  }

  #isOut({ platform, passage }: HandedOverDevice): boolean {
    if (passage.isUnderWay) return true;
    const { device, vfioDevice } = platform;
    // Its driver cannot have been changed while anybody had it open (vfio_unregister_group_dev waits).
    if (this.#platform.find(device)?.vfioDevice !== vfioDevice) return false;
    // Reading /proc is dear, and blind to other pid namespaces; sysfs is neither, as soon as the guest has bound it.
    return this.#platform.isEnabled(platform) || this.#platform.openers([platform]).length > 0;
  }
}
