import type { Kernel } from "../../kernel/kernel.ts";
import type { Tell } from "../changes.ts";
import type { Context } from "../contexts/context.ts";
import type { Owner } from "../contexts/owners.ts";
import { kernelError } from "../failures.ts";
import type { Binding } from "./binding.ts";
import type { HandedOverDevices, Passage } from "./handed-over-devices.ts";
import type { HeldDevices } from "./held-devices.ts";
import type { Turns } from "./turns.ts";

/** Open descriptors for a client. Whoever accepts it sends them, or does not, and closes it in either case. */
export interface Parcel {
  readonly fds: readonly number[];
  close(): void;
}

/** Accepts a parcel for the client; throws when it cannot be sent, and then the parcel is not accepted. */
export type Send = (parcel: Parcel) => Passage;

export interface HandOversParts {
  readonly kernel: Kernel;
  readonly binding: Binding;
  readonly devices: HeldDevices;
  readonly handedOver: HandedOverDevices;
  readonly turns: Turns;
  readonly tell: Tell;
}

/**
 * Gives descriptors to clients: QEMU opens nothing itself and needs no permission on any node. Rejects with HostError
 * only, and then nothing was given and nothing is left open.
 */
export class HandOvers {
  readonly #parts: HandOversParts;

  constructor(parts: HandOversParts) {
    this.#parts = parts;
  }

  /** The context's iommufd. From now on the context is shared, whether or not the client takes what it is sent. */
  async context(context: Context, send: Send): Promise<void> {
    await context.run(async () => {
      this.#send([this.#iommufd(context)], context, send);
    });
  }

  /** The context's iommufd and the device's cdev, opened for this and not bound: the client binds it by itself. */
  async device(device: string, context: Context, owner: Owner, send: Send): Promise<void> {
    const { binding, devices, handedOver, turns } = this.#parts;
    await handedOver.refuse(device);
    // Behind the wait: the turn of a held device is its holder's, and the end of the holder's context needs it.
    devices.refuseHeld(device);
    const { group } = binding.find(device);
    const give = async () => {
      // Until it was this one's turn, anybody may have held the device or ended the context.
      devices.refuseHeld(device);
      context.refuseClosing();
      const platform = binding.find(device);
      context.open();
      await binding.refuseHopeless(platform, context);
      const { fd } = binding.open(platform);
      let iommufd: number;
      try {
        iommufd = this.#iommufd(context);
      } catch (error) {
        void this.#close([fd]);
        throw error;
      }
      handedOver.add({ platform, context, owner, passage: this.#send([iommufd, fd], context, send) });
    };
    await context.run(() => turns.take(device, group, give));
  }

  #send(fds: readonly number[], context: Context, send: Send): Passage {
    let passage: Passage;
    try {
      passage = send({ fds: this.#passable(fds), close: () => void this.#close(fds) });
    } catch (error) {
      void this.#close(fds);
      throw error;
    }
    context.shared = true;
    this.#parts.tell({ event: "CONTEXT_HANDED_OVER", context: context.name });
    return passage;
  }

  #passable(fds: readonly number[]): number[] {
    try {
      return fds.map((fd) => this.#parts.kernel.passable(fd));
    } catch (error) {
      throw kernelError(error, "open");
    }
  }

  /** A descriptor of the parcel's own: until it is sent, the context may end and its number mean another file. */
  #iommufd(context: Context): number {
    context.refuseClosing();
    const { fd } = context.open();
    try {
      return this.#parts.kernel.duplicate(fd);
    } catch (error) {
      throw kernelError(error, "fcntl F_DUPFD_CLOEXEC");
    }
  }

  /** One after the other: a thread for each would be a waste. */
  async #close(fds: readonly number[]): Promise<void> {
    for (const fd of fds) await this.#parts.kernel.close(fd).catch(() => undefined);
  }
}
