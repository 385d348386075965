import type { VfioDevice } from "../../kernel/vfio.ts";
import type { Limits } from "../../limits.ts";
import type { Context } from "../contexts/context.ts";
import type { Ioas } from "../contexts/ioas.ts";
import { type Owner, refuseBeyond } from "../contexts/owners.ts";
import { HostError } from "../errors.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import type { Turns } from "./turns.ts";

/** A device that the daemon has bound into a context, and perhaps attached to an IOAS there. */
export interface HeldDevice {
  readonly platform: PlatformDevice;
  readonly context: Context;
  readonly owner: Owner;
  readonly vfio: VfioDevice;
  /** Its object id in the context. */
  readonly deviceId: number;
  ioas: Ioas | null;
}

export interface HeldDevicesParts {
  readonly turns: Turns;
  readonly limits: Limits;
}

/** The devices that the daemon holds, by name. */
export class HeldDevices {
  readonly #parts: HeldDevicesParts;
  readonly #held = new Map<string, HeldDevice>();
  /** For whom devices are being bound: they count as held. */
  readonly #binding = new Map<string, Owner>();

  constructor(parts: HeldDevicesParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#held.size;
  }

  get(device: string): HeldDevice | undefined {
    return this.#held.get(device);
  }

  /**
   * Adds what `bind` resolves to, if the owner may hold one more, and calls `added` at once. Rejects with HostError
   * LimitExceeded.
   */
  async add(
    device: string,
    owner: Owner,
    bind: () => Promise<HeldDevice>,
    added: () => void,
  ): Promise<HeldDevice> {
    const owners = [...this.#held.values()].map((held) => held.owner).concat(...this.#binding.values());
    refuseBeyond(this.#parts.limits, "max-held-devices-per-uid", "devices", owners, owner);
    this.#binding.set(device, owner);
    try {
      const held = await bind();
      this.#held.set(device, held);
      added();
      return held;
    } finally {
      this.#binding.delete(device);
    }
  }

  /** A device of an earlier life. */
  takeOver(held: HeldDevice): void {
    this.#held.set(held.platform.device, held);
  }

  remove(held: HeldDevice): void {
    this.#held.delete(held.platform.device);
  }

  all(): HeldDevice[] {
    return [...this.#held.values()];
  }

  /** Those of every context that has any, in one pass. */
  byContext(): Map<Context, HeldDevice[]> {
    const held = new Map<Context, HeldDevice[]>();
    for (const each of this.#held.values()) {
      const others = held.get(each.context);
      if (others) others.push(each);
      else held.set(each.context, [each]);
    }
    return held;
  }

  inContext(context: Context): HeldDevice[] {
    return this.all().filter((held) => held.context === context);
  }

  /** The devices of the same group that are attached anywhere, `held` itself not among them. */
  attachedSiblings(held: HeldDevice): HeldDevice[] {
    const { device, group } = held.platform;
    return [...this.#held.values()].filter(
      ({ platform, ioas }) => platform.group === group && platform.device !== device && ioas !== null,
    );
  }

  /** @throws HostError DeviceBusy when the daemon holds it already */
  refuseHeld(device: string): void {
    const held = this.#held.get(device);
    if (!held) return;
    throw new HostError(
      "DeviceBusy",
      `${device} is held already, in context "${held.context.name}"; release it there first`,
      { context: held.context.name },
    );
  }

  /** @throws HostError NotHeld; the devices of a context that is being destroyed count as released */
  require(device: string): HeldDevice {
    const held = this.#held.get(device);
    if (held && !held.context.isClosing) return held;
    throw new HostError(
      "NotHeld",
      `${device} is not held by this daemon: query-devices lists what is, and hold-device takes a device`,
      {
        device,
      },
    );
  }

  /** Runs an operation on a held device in its turn. Rejects with HostError DeviceBusy when one is under way. */
  operate<T>({ platform }: HeldDevice, operation: () => Promise<T>): Promise<T> {
    return this.#parts.turns.take(platform.device, platform.group, operation);
  }
}
