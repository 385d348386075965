import type { IovaRanges } from "../../kernel/iommufd.ts";
import type { End, Tell } from "../changes.ts";
import type { Contexts } from "../contexts/contexts.ts";
import type { Ioas } from "../contexts/ioas.ts";
import { IoasChange } from "../contexts/ioas-change.ts";
import { HostError } from "../errors.ts";
import { errnoOf, kernelError } from "../failures.ts";
import { conflictsIn } from "../knowledge/claims.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import type { Journal } from "../survival/journal.ts";
import type { Changing } from "./changing.ts";
import { attachedUnseen, attachFailure } from "./device-failures.ts";
import type { HeldDevice, HeldDevices } from "./held-devices.ts";
import { attachInsisting, type Refusals } from "./refusals.ts";

export interface AttachmentsParts {
  readonly devices: HeldDevices;
  readonly contexts: Contexts;
  readonly knowledge: Knowledge;
  readonly refusals: Refusals;
  readonly changing: Changing;
  readonly tell: Tell;
  readonly journal: Journal;
  /** A clock in milliseconds. */
  readonly now: () => number;
}

/** Attaches held devices to IO address spaces and detaches them. Rejects with HostError only. */
export class Attachments {
  readonly #parts: AttachmentsParts;

  constructor(parts: AttachmentsParts) {
    this.#parts = parts;
  }

  /**
   * Attaches the device to an IOAS of its context, or moves it there. Resolves to the kernel's answer for that IOAS.
   * `permit` is asked about every sibling that would move with it, and may throw.
   */
  async attach(
    device: string,
    ioasId: number,
    permit: (sibling: HeldDevice) => void,
  ): Promise<{ held: HeldDevice; answer: IovaRanges }> {
    const { devices, contexts } = this.#parts;
    const held = devices.require(device);
    const ioas = contexts.ioas(held.context, ioasId);
    return held.context.run(async () => ({ held, answer: await this.#attach(held, ioas, permit) }));
  }

  /** Detaches the device and keeps holding it. Resolves to where it was attached, null when it was not. */
  async detach(device: string, end: End): Promise<{ held: HeldDevice; ioas: Ioas | null }> {
    const held = this.#parts.devices.require(device);
    return held.context.run(async () => ({ held, ioas: await this.#detach(held, end) }));
  }

  /** Notes that the kernel has attached the device, or has moved it there. */
  arrived(held: HeldDevice, ioas: Ioas, milliseconds: number): void {
    const { context, platform } = held;
    held.ioas?.devices.delete(platform.device);
    held.ioas = ioas;
    ioas.devices.add(platform.device);
    const what = { device: platform.device, context: context.name, ioas: ioas.id, milliseconds };
    this.#parts.tell({ event: "DEVICE_ATTACHED", ...what });
  }

  /** Notes that the kernel has detached the device. */
  left(held: HeldDevice, ioas: Ioas, milliseconds: number, end: End): void {
    const { context, platform } = held;
    held.ioas = null;
    ioas.devices.delete(platform.device);
    const what = { device: platform.device, context: context.name, ioas: ioas.id, milliseconds };
    this.#parts.tell({ event: "DEVICE_DETACHED", ...what, ...end });
  }

  async #attach(held: HeldDevice, ioas: Ioas, permit: (sibling: HeldDevice) => void): Promise<IovaRanges> {
    const { changing, devices } = this.#parts;
    const target = new IoasChange();
    target.include(ioas);
    const intent = { operation: "attach", device: held.platform.device, ioas: ioas.id } as const;
    // A replace moves the whole group (drivers/iommu/iommufd/device.c: iommufd_device_do_replace).
    const siblings = () => (held.ioas ? devices.attachedSiblings(held) : []);
    const cause = {
      ...{ intent, done: "DEVICE_ATTACHED", failed: "ATTACH_FAILED" },
      permit: () => void (held.ioas === ioas || siblings().forEach(permit)),
    };
    const { answers } = await changing.run(
      held,
      cause,
      async (change, settled) => {
        const cameIntoEmpty = held.ioas === null && ioas.devices.size === 0;
        await this.#move(held, siblings(), ioas, change, settled);
        if (cameIntoEmpty) change.alone = held.platform;
      },
      target,
    );
    const answer = answers.get(ioas);
    if (answer?.status === "fulfilled") return answer.value;
    throw attachedUnseen(answer?.reason, held.platform.device, ioas.id);
  }

  async #detach(held: HeldDevice, end: End): Promise<Ioas | null> {
    const { changing, journal, now } = this.#parts;
    const intent = { operation: "detach", device: held.platform.device } as const;
    const cause = { intent, done: "DEVICE_DETACHED", failed: "DETACH_FAILED" };
    const { result } = await changing.run(held, cause, async (change, settled) => {
      const from = held.ioas;
      if (from === null) return null;
      const started = now();
      change.include(from);
      change.hasEffect = true;
      try {
        await held.vfio.detach();
      } catch (error) {
        throw kernelError(error, "VFIO_DEVICE_DETACH_IOMMUFD_PT");
      }
      const milliseconds = now() - started;
      journal.together(() => {
        this.left(held, from, milliseconds, end);
        settled();
      });
      return from;
    });
    return result;
  }

  async #move(
    held: HeldDevice,
    siblings: HeldDevice[],
    ioas: Ioas,
    change: IoasChange,
    settled: () => void,
  ): Promise<void> {
    const { journal, now } = this.#parts;
    const started = now();
    const old = held.ioas;
    // Not even an ioctl: on the way to the hwpt that the device is on already, Linux tries the IOAS's other ones, and
    // drops the reservations of the whole group when one does not suit it (iommufd_device_do_replace, err_unresv).
    if (old === ioas) return;
    if (old) {
      change.include(old);
      change.hasEffect = true;
    }
    try {
      await attachInsisting(held.vfio, ioas.id);
    } catch (error) {
      throw (await this.#lost(error, ioas)) ?? this.#attachFailure(error, held, ioas);
    }
    change.hasEffect = true;
    this.#parts.refusals.attached(held.platform);
    const milliseconds = now() - started;
    // A group is never seen to be in two places, by the next life either.
    journal.together(() => {
      for (const each of [held, ...siblings]) this.arrived(each, ioas, milliseconds);
      settled();
    });
  }

  /** In a shared context ENOENT may be that somebody has destroyed the IOAS; it comes of other causes, too. */
  async #lost(error: unknown, ioas: Ioas): Promise<HostError | undefined> {
    if (!ioas.context.shared || errnoOf(error) !== "ENOENT") return undefined;
    return ioas.read().then(
      () => undefined,
      (reason: unknown) => this.#parts.contexts.lost(reason, ioas),
    );
  }

  #attachFailure(error: unknown, held: HeldDevice, ioas: Ioas): HostError {
    const { devices, knowledge, refusals } = this.#parts;
    const { platform } = held;
    if (errnoOf(error) !== "EADDRINUSE") {
      const elsewhere = devices.attachedSiblings(held).find((sibling) => sibling.ioas !== ioas);
      // In a shared context a sibling may be attached elsewhere by somebody else, which is EINVAL as well.
      const isUnclear = ioas.context.shared && errnoOf(error) === "EINVAL" && !elsewhere;
      if (isUnclear) return kernelError(error, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
      return refusals.learn(platform, attachFailure(error, platform.device, elsewhere?.platform.device));
    }
    const conflicts = ioas.allowList
      ? conflictsIn(ioas.allowList.ranges, [{ platform, reserved: knowledge.reserved(platform) }])
      : { conflicts: [] };
    return new HostError(
      "RangeConflict",
      `${platform.device} reserves ranges that IOAS ${ioas.id} promises to allow or has mapped; shrink the list with allow-ranges, or attach the device to another IOAS`,
      { errno: "EADDRINUSE", ...conflicts },
    );
  }
}
