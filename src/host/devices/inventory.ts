import { type DeviceEvent, ifPossible, type Kernel } from "../../kernel/kernel.ts";
import type { Observer } from "../changes.ts";
import { errnoOf } from "../failures.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import type { Platform, PlatformDevice } from "../platform/platform.ts";
import type { HandedOverDevices } from "./handed-over-devices.ts";
import type { HeldDevices } from "./held-devices.ts";
import type { Holdings } from "./holdings.ts";

export interface InventoryParts {
  readonly kernel: Kernel;
  readonly platform: Platform;
  readonly knowledge: Knowledge;
  readonly devices: HeldDevices;
  readonly holdings: Holdings;
  readonly handedOver: HandedOverDevices;
  readonly observer: Observer;
}

/** Events come in showers, a dozen for one device: one look, this many milliseconds after the first, is for all. */
const SHOWER = 50;
/** Milliseconds until the next look when one has failed. */
const RETRY = 1000;

/**
 * Which devices there are, for telling of those that come and go. The kernel says that something has happened, sysfs
 * says what; where the kernel is not heard, the next look is that of the next query.
 */
export class Inventory {
  readonly #parts: InventoryParts;
  #known: ReadonlySet<string>;
  #due: NodeJS.Timeout | undefined;
  #isClosed = false;

  /** What is there by now is not news. */
  constructor(parts: InventoryParts) {
    this.#parts = parts;
    ifPossible(() => parts.kernel.watchDevices((event) => this.#hear(event)));
    this.#known = new Set(parts.platform.devices().map(({ device }) => device));
  }

  /** Compares with the last look. `present`: every device that there is. */
  look(present: readonly PlatformDevice[]): void {
    const { devices, knowledge, observer } = this.#parts;
    const byName = new Map(present.map((platform) => [platform.device, platform]));
    this.#giveBackThoseThatLeave(byName);
    const known = new Set(byName.keys());
    for (const device of this.#known) {
      if (known.has(device)) continue;
      // It is still ours to give back, and then it will be looked for again.
      if (devices.get(device)) known.add(device);
      else {
        knowledge.forget(device);
        observer({ event: "DEVICE_REMOVED", device });
      }
    }
    const added = [...known].filter((device) => !this.#known.has(device));
    this.#known = known;
    for (const device of added) observer({ event: "DEVICE_ADDED", device });
  }

  /** No look follows. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#due);
  }

  #hear({ action, device }: DeviceEvent): void {
    // Whatever comes back under the name is a new one, also if nobody looks in between.
    if (action === "remove" || action === "unbind") this.#parts.knowledge.forget(device);
    if (action === "lost") this.#parts.knowledge.forgetAll();
    this.#lookSoon();
  }

  #lookSoon(delay = SHOWER): void {
    if (this.#isClosed) return;
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      this.#lookNow();
    }, delay).unref();
  }

  /** No descriptor left to read sysfs with, for one, is no reason to give up what is held. */
  #lookNow(): void {
    const { handedOver, observer, platform } = this.#parts;
    try {
      this.look(platform.devices());
      handedOver.review();
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      observer({ event: "LOOK_FAILED", errno });
      this.#lookSoon(RETRY);
    }
  }

  /** A VFIO device leaves sysfs before its driver's unbind begins to wait for us. */
  #giveBackThoseThatLeave(present: ReadonlyMap<string, PlatformDevice>): void {
    const { devices, holdings } = this.#parts;
    for (const held of devices.all()) {
      const { device, vfioDevice } = held.platform;
      if (present.get(device)?.vfioDevice === vfioDevice) continue;
      void holdings.giveBack(held).then(() => this.#lookSoon());
    }
  }
}
