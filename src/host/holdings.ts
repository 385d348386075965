import type { Attachments } from "./attachments.ts";
import type { Binding } from "./binding.ts";
import type { Observer } from "./changes.ts";
import type { Context } from "./context.ts";
import { HostError } from "./errors.ts";
import type { HeldDevice, HeldDevices } from "./held-devices.ts";
import { IoasChange } from "./ioas.ts";
import type { Knowledge } from "./knowledge.ts";
import type { PlatformDevice } from "./platform.ts";
import type { Turns } from "./turns.ts";
import type { Verifier } from "./verifier.ts";

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
  async hold(device: string, context: Context): Promise<HeldDevice> {
    const { binding, devices, observer, now, turns } = this.#parts;
    devices.refuseHeld(device);
    const { group } = binding.find(device);
    return context.run(() =>
      turns.take(device, group, async () => {
        if (context.isClosing) {
          throw new HostError("ContextNotFound", `context "${context.name}" is being destroyed`, {
            context: context.name,
          });
        }
        const started = now();
        const platform = binding.find(device);
        const bound = await binding.bind(platform, context.open());
        const held = { platform, context, ...bound, ioas: null };
        devices.add(held);
        observer({ event: "DEVICE_HELD", device, context: context.name, milliseconds: now() - started });
        return held;
      }),
    );
  }

  /** Gives the device back; an attached one is detached by its closing. */
  async release(device: string): Promise<void> {
    const held = this.#parts.devices.require(device);
    await held.context.run(() => this.#release(held));
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
      knowledge.learn(platform, await binding.probe(platform), "probe");
      observer({ event: "DEVICE_PROBED", device, milliseconds: now() - started });
      return platform;
    });
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
