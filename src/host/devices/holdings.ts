import { ifPossible } from "../../kernel/kernel.ts";
import type { Observer } from "../changes.ts";
import type { Context } from "../contexts/context.ts";
import { IoasChange } from "../contexts/ioas.ts";
import type { Owner } from "../contexts/owners.ts";
import type { Verifier } from "../contexts/verifier.ts";
import { changing, regionsLost } from "../failures.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import type { Attachments } from "./attachments.ts";
import type { Binding } from "./binding.ts";
import type { HeldDevice, HeldDevices } from "./held-devices.ts";
import type { Turns } from "./turns.ts";

export interface HoldingsParts {
  readonly devices: HeldDevices;
  readonly turns: Turns;
  readonly binding: Binding;
  readonly attachments: Attachments;
  readonly knowledge: Knowledge;
  readonly verifier: Verifier;
  readonly observer: Observer;
  /** A clock in milliseconds. */
  readonly now: () => number;
}

/** Takes devices from the platform and gives them back. Rejects with HostError only. */
export class Holdings {
  readonly #parts: HoldingsParts;

  constructor(parts: HoldingsParts) {
    this.#parts = parts;
  }

  /** Binds the device into the context. */
  async hold(device: string, context: Context, owner: Owner): Promise<HeldDevice> {
    const { binding, devices, observer, now, turns } = this.#parts;
    devices.refuseHeld(device);
    const { group } = binding.find(device);
    return context.run(() =>
      turns.take(device, group, async () => {
        context.refuseClosing();
        const started = now();
        const held = await devices.add(device, owner, async () => {
          const platform = binding.find(device);
          const bound = await binding.bind(platform, context.open());
          return { platform, context, owner, ...bound, ioas: null };
        });
        observer({ event: "DEVICE_HELD", device, context: context.name, milliseconds: now() - started });
        this.#listen(held);
        return held;
      }),
    );
  }

  /** Gives the device back; an attached one is detached by its closing. */
  async release(device: string): Promise<void> {
    const held = this.#parts.devices.require(device);
    await held.context.run(() => this.#release(held));
  }

  /**
   * Gives a device back that the kernel asks for, after what is under way on it; nothing of what is known of it holds any
   * longer. A context that is being destroyed does so by itself. Never rejects.
   */
  async giveBack(held: HeldDevice): Promise<void> {
    const { devices, knowledge, turns } = this.#parts;
    const { device } = held.platform;
    const isHeld = () => devices.get(device) === held;
    if (held.context.isClosing || !isHeld()) return;
    knowledge.forget(device);
    await held.context.run(async () => {
      while (isHeld()) {
        await turns.idle(device);
        // Another request may have taken the turn: then this one follows it.
        if (isHeld()) await this.#release(held).catch(() => undefined);
      }
    });
    // What was learnt meanwhile is of the device that has gone.
    knowledge.forget(device);
  }

  /** Waits for what is under way in the closing context, then gives its devices back. */
  async releaseAll(context: Context): Promise<void> {
    await context.settled();
    for (const held of this.#parts.devices.inContext(context)) await this.#release(held);
  }

  /** Asks the kernel what this one device excludes, and remembers it. */
  async probe(device: string): Promise<PlatformDevice> {
    const { binding, devices, knowledge, observer, now, turns } = this.#parts;
    devices.refuseHeld(device);
    const { group } = binding.find(device);
    return turns.take(device, group, async () => {
      const started = now();
      const platform = binding.find(device);
      const life = knowledge.life(device);
      const answer = await binding.probe(platform);
      if (knowledge.life(device) !== life) throw changing(device);
      if (!knowledge.learn(platform, answer, "probe")) throw regionsLost(device);
      observer({ event: "DEVICE_PROBED", device, milliseconds: now() - started });
      return platform;
    });
  }

  /**
   * Lets the kernel ask for the device. Where it cannot (no PCI device, no memory), and before it could, the VFIO device
   * is seen to leave sysfs.
   */
  #listen(held: HeldDevice): void {
    const giveBack = () => void this.giveBack(held);
    ifPossible(() => held.vfio.onRequest(giveBack));
    if (ifPossible(() => this.#parts.binding.hasLeft(held.platform))) giveBack();
  }

  async #release(held: HeldDevice): Promise<void> {
    const { attachments, devices, observer, now, verifier } = this.#parts;
    const { context, platform } = held;
    let change: IoasChange | undefined;
    await devices
      .operate(held, async () => {
        const started = now();
        const { ioas } = held;
        if (ioas) {
          change = new IoasChange(ioas);
          change.hasEffect = true;
        }
        // close(2) frees the descriptor, and with it the device, also when it reports an error.
        await held.vfio.close().catch(() => undefined);
        devices.remove(held);
        if (ioas) attachments.left(held, ioas, started);
        const milliseconds = now() - started;
        observer({ event: "DEVICE_RELEASED", device: platform.device, context: context.name, milliseconds });
      })
      .finally(() => change?.end());
    const cause = { event: "DEVICE_RELEASED", device: platform.device };
    for (const ioas of change?.ioases ?? [])
      await verifier.check(context, ioas, cause).catch(() => undefined);
  }
}
