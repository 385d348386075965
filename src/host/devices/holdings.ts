import { ifPossible } from "../../kernel/kernel.ts";
import type { End, Tell } from "../changes.ts";
import type { Context } from "../contexts/context.ts";
import type { Owner } from "../contexts/owners.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import { reservedRanges } from "../knowledge/reserved.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import { type DescriptorStore, deviceFile } from "../survival/journal.ts";
import type { Attachments } from "./attachments.ts";
import type { Binding } from "./binding.ts";
import type { Changing } from "./changing.ts";
import { changingDriver, regionsLost } from "./device-failures.ts";
import type { HeldDevice, HeldDevices } from "./held-devices.ts";
import type { Turns } from "./turns.ts";

export interface HoldingsParts {
  readonly devices: HeldDevices;
  readonly turns: Turns;
  readonly binding: Binding;
  readonly attachments: Attachments;
  readonly changing: Changing;
  readonly knowledge: Knowledge;
  readonly tell: Tell;
  readonly store: DescriptorStore;
  /** A clock in milliseconds. */
  readonly now: () => number;
}

const GONE: End = { cause: "device-gone", uid: null };

/** Takes devices from the platform and gives them back. Rejects with HostError only. */
export class Holdings {
  readonly #parts: HoldingsParts;

  constructor(parts: HoldingsParts) {
    this.#parts = parts;
  }

  /** Binds the device into the context. */
  async hold(device: string, context: Context, owner: Owner): Promise<HeldDevice> {
    const { binding, devices, store, tell, now, turns } = this.#parts;
    devices.refuseHeld(device);
    const { group } = binding.find(device);
    return context.run(() =>
      turns.take(device, group, async () => {
        context.refuseClosing();
        const started = now();
        const bind = async () => {
          const platform = binding.find(device);
          const bound = await binding.bind(platform, context.open(), context);
          store.put(deviceFile(device), bound.vfio.fd);
          return { platform, context, owner, ...bound, ioas: null };
        };
        const held = await devices.add(device, owner, bind, () => {
          tell({ event: "DEVICE_HELD", device, context: context.name, milliseconds: now() - started });
        });
        this.listen(held);
        return held;
      }),
    );
  }

  /** Gives the device back; an attached one is detached by its closing. */
  async release(device: string, end: End): Promise<void> {
    const held = this.#parts.devices.require(device);
    await held.context.run(() => this.#release(held, end));
  }

  /**
   * Gives a device back that the kernel asks for, after what is under way on it; nothing of what is known of it holds any
   * longer. A context that is being destroyed does so by itself, and is waited for. Never rejects.
   */
  async giveBack(held: HeldDevice): Promise<void> {
    const { devices, knowledge, turns } = this.#parts;
    const { device } = held.platform;
    const isHeld = () => devices.get(device) === held;
    if (!isHeld()) return;
    if (held.context.ending) return held.context.ending.catch(() => undefined);
    knowledge.forget(device);
    await held.context.run(async () => {
      while (isHeld()) {
        await turns.idle(device);
        // Another request may have taken the turn: then this one follows it.
        if (isHeld()) await this.#release(held, GONE).catch(() => undefined);
      }
    });
    // What was learnt meanwhile is of the device that has gone.
    knowledge.forget(device);
  }

  /** Waits for what is under way in the closing context, then gives its devices back, side by side. */
  async releaseAll(context: Context, end: End): Promise<void> {
    await context.settled();
    await Promise.all(this.#parts.devices.inContext(context).map((held) => this.#release(held, end)));
  }

  /** Asks the kernel what this one device excludes, and remembers it. */
  async probe(device: string): Promise<PlatformDevice> {
    const { binding, devices, knowledge, tell, now, turns } = this.#parts;
    devices.refuseHeld(device);
    const { group } = binding.find(device);
    return turns.take(device, group, async () => {
      const started = now();
      const platform = binding.find(device);
      const life = knowledge.life(device);
      const answer = await binding.probe(platform);
      if (knowledge.life(device) !== life) throw changingDriver(device);
      if (!knowledge.learn(platform, answer, "probe")) throw regionsLost(device);
      const reserved = knowledge.reserved(platform);
      const { aperture } = reserved;
      const milliseconds = now() - started;
      tell({ event: "DEVICE_PROBED", device, reserved: reservedRanges(reserved), aperture, milliseconds });
      return platform;
    });
  }

  /**
   * Lets the kernel ask for the device. Where it cannot (no PCI device, no memory), and before it could, the VFIO device
   * is seen to leave sysfs.
   */
  listen(held: HeldDevice): void {
    const giveBack = () => void this.giveBack(held);
    ifPossible(() => held.vfio.onRequest(giveBack));
    if (ifPossible(() => this.#parts.binding.hasLeft(held.platform))) giveBack();
  }

  async #release(held: HeldDevice, end: End): Promise<void> {
    const { attachments, changing, devices, store, tell, now } = this.#parts;
    const { context, platform } = held;
    const intent = { operation: "release", device: platform.device } as const;
    const cause = { intent, done: "DEVICE_RELEASED", failed: "DEVICE_RELEASED" };
    await changing.run(held, cause, async (change) => {
      const started = now();
      const { ioas } = held;
      if (ioas) {
        change.include(ioas);
        change.hasEffect = true;
      }
      await store.remove(deviceFile(platform.device));
      // close(2) frees the descriptor, and with it the device, also when it reports an error.
      await held.vfio.close().catch(() => undefined);
      const milliseconds = now() - started;
      if (ioas) attachments.left(held, ioas, milliseconds, end);
      devices.remove(held);
      const what = { device: platform.device, context: context.name, milliseconds };
      tell({ event: "DEVICE_RELEASED", ...what, ...end });
    });
  }
}
