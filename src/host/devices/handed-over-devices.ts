import type { End, Tell } from "../changes.ts";
import type { Context } from "../contexts/context.ts";
import type { Owner } from "../contexts/owners.ts";
import { HostError } from "../errors.ts";
import { readable } from "../failures.ts";
import type { Platform, PlatformDevice } from "../platform/platform.ts";
import type { Users } from "../platform/users.ts";
import type { Journal } from "../survival/journal.ts";

/** Descriptors on their way to a client. */
export interface Passage {
  /** False once the client has read the answer that carries them, or its connection is over. */
  readonly isUnderWay: boolean;
}

/** A device whose open cdev a client was given, to bind it by itself. */
export interface HandedOverDevice {
  readonly platform: PlatformDevice;
  /** The context that was given with it. It may have been destroyed since: the client has a descriptor of its own. */
  readonly context: Context;
  /** To whom. */
  readonly owner: Owner;
  readonly passage: Passage;
}

export interface HandedOverDevicesParts {
  readonly platform: Platform;
  readonly users: Users;
  readonly tell: Tell;
  readonly journal: Journal;
}

/**
 * The devices that clients were given. Nobody tells when a guest ends, so whenever it matters the evidence is looked
 * at: a device is back when its descriptor is not on its way, nobody has it bound, and no process has it open.
 */
export class HandedOverDevices {
  readonly #parts: HandedOverDevicesParts;
  readonly #devices = new Map<string, HandedOverDevice>();
  /** Called when all devices that were given with the context are back. */
  onAllBack: (context: Context) => void = () => {};

  constructor(parts: HandedOverDevicesParts) {
    this.#parts = parts;
  }

  add(handedOver: HandedOverDevice): void {
    const { platform, context } = handedOver;
    this.#devices.set(platform.device, handedOver);
    this.#parts.tell({ event: "DEVICE_HANDED_OVER", device: platform.device, context: context.name });
  }

  names(): string[] {
    return [...this.#devices.keys()];
  }

  /** What was so in an earlier life. */
  takeOver(handedOver: HandedOverDevice): void {
    this.#devices.set(handedOver.platform.device, handedOver);
  }

  /** As it was when the evidence was looked at last. */
  shown(device: string): HandedOverDevice | undefined {
    return this.#devices.get(device);
  }

  /** The groups of the devices whose context has gone before them. */
  groupsWithout(context: string): Set<number> {
    const left = [...this.#devices.values()].filter((each) => each.context.name === context);
    return new Set(left.map(({ platform }) => platform.group));
  }

  /** The names of the devices that were given with the context. */
  givenWith(context: Context): string[] {
    const given = [...this.#devices.values()].filter((each) => each.context === context);
    return given.map(({ platform }) => platform.device);
  }

  /** Looks at the evidence. Tells of those that are back; of all, or of those of `names`. */
  async review(names: Iterable<string> = [...this.#devices.keys()]): Promise<void> {
    await Promise.all(Array.from(names, (device) => this.#review(device)));
  }

  /** Rejects with HostError DeviceBusy while a client has the device. */
  async refuse(device: string): Promise<void> {
    if (!this.#devices.has(device)) return;
    await readable(this.#review(device));
    const handedOver = this.#devices.get(device);
    if (!handedOver) return;
    const context = handedOver.context.name;
    const users = (await this.#parts.users.of([handedOver.platform])) ?? [];
    throw new HostError(
      "DeviceBusy",
      `${device} was handed over with context "${context}"; it is free again when the process that has it ends`,
      { context, processes: users.map(({ pid }) => pid) },
    );
  }

  async #review(device: string): Promise<void> {
    const handedOver = this.#devices.get(device);
    if (!handedOver || (await this.#isOut(handedOver))) return;
    if (this.#devices.get(device) !== handedOver) return;
    this.#devices.delete(device);
    const context = handedOver.context.name;
    const end: End = { cause: "lease", uid: null };
    // A later life that found the one without the other would wait for the context's devices for ever.
    this.#parts.journal.together(() => {
      this.#parts.tell({ event: "DEVICE_RELEASED", device, context, milliseconds: 0, ...end });
      if (this.givenWith(handedOver.context).length === 0) this.onAllBack(handedOver.context);
    });
  }

  async #isOut({ platform, passage }: HandedOverDevice): Promise<boolean> {
    if (passage.isUnderWay) return true;
    const { device, vfioDevice } = platform;
    // Its driver cannot have been changed while anybody had it open (vfio_unregister_group_dev waits).
    if (this.#parts.platform.find(device)?.vfioDevice !== vfioDevice) return false;
    // Reading /proc is dear, and blind to other pid namespaces; sysfs is neither, as soon as the guest has bound it.
    if (this.#parts.platform.isEnabled(platform)) return true;
    const users = await this.#parts.users.of([platform]);
    return users === undefined || users.length > 0;
  }
}
