import type { IovaRanges } from "../../kernel/iommufd.ts";
import type { Observer } from "../changes.ts";
import type { Contexts } from "../contexts/contexts.ts";
import { type Ioas, IoasChange } from "../contexts/ioas.ts";
import type { Verifier } from "../contexts/verifier.ts";
import { HostError } from "../errors.ts";
import { attachedUnseen, attachFailure, errnoOf, kernelError } from "../failures.ts";
import { conflictsIn } from "../knowledge/claims.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import type { HeldDevice, HeldDevices } from "./held-devices.ts";

export interface AttachmentsParts {
  readonly devices: HeldDevices;
  readonly contexts: Contexts;
  readonly knowledge: Knowledge;
  readonly verifier: Verifier;
  readonly observer: Observer;
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
  async detach(device: string): Promise<{ held: HeldDevice; ioas: Ioas | null }> {
    const held = this.#parts.devices.require(device);
    return held.context.run(async () => ({ held, ioas: await this.#detach(held) }));
  }

  /** Notes that the kernel has detached the device. */
  left(held: HeldDevice, ioas: Ioas, started: number): void {
    held.ioas = null;
    ioas.devices.delete(held.platform.device);
    this.#report("DEVICE_DETACHED", held, ioas, started);
  }

  async #attach(held: HeldDevice, ioas: Ioas, permit: (sibling: HeldDevice) => void): Promise<IovaRanges> {
    const { devices, verifier } = this.#parts;
    const { device } = held.platform;
    // From now on, not from the device's turn on: an IOAS that is about to change cannot be destroyed.
    const change = new IoasChange(ioas);
    let alone: PlatformDevice | undefined;
    let isTried = false;
    try {
      await devices.operate(held, async () => {
        const cameIntoEmpty = held.ioas === null && ioas.devices.size === 0;
        // A replace moves the whole group (drivers/iommu/iommufd/device.c: iommufd_device_do_replace).
        const siblings = held.ioas ? devices.attachedSiblings(held) : [];
        if (held.ioas !== ioas) siblings.forEach(permit);
        isTried = true;
        await this.#move(held, siblings, ioas, change);
        if (cameIntoEmpty) alone = held.platform;
      });
    } catch (error) {
      change.end();
      // A failed replace may have touched both sides, and a change that ended meanwhile left the look to this one.
      if (isTried) await this.#check(held, change.ioases, "ATTACH_FAILED").catch(() => undefined);
      throw error;
    }
    change.end();
    change.ioases.delete(ioas);
    // Both look at once: later the id could be another object's.
    const [answer] = await Promise.all([
      verifier.check(held.context, ioas, { event: "DEVICE_ATTACHED", device }, alone).catch((error) => {
        throw attachedUnseen(error, device, ioas.id);
      }),
      this.#check(held, change.ioases, "DEVICE_ATTACHED").catch(() => undefined),
    ]);
    return answer;
  }

  async #detach(held: HeldDevice): Promise<Ioas | null> {
    const { devices, now } = this.#parts;
    let change: IoasChange | undefined;
    try {
      return await devices.operate(held, async () => {
        const from = held.ioas;
        if (from === null) return null;
        const started = now();
        change = new IoasChange(from);
        change.hasEffect = true;
        try {
          await held.vfio.detach();
        } catch (error) {
          throw kernelError(error, "VFIO_DEVICE_DETACH_IOMMUFD_PT");
        }
        this.left(held, from, started);
        return from;
      });
    } finally {
      change?.end();
      await this.#check(held, change?.ioases ?? [], "DEVICE_DETACHED").catch(() => undefined);
    }
  }

  async #move(held: HeldDevice, siblings: HeldDevice[], ioas: Ioas, change: IoasChange): Promise<void> {
    const { now } = this.#parts;
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
      await held.vfio.attach(ioas.id);
    } catch (error) {
      throw (await this.#lost(error, ioas)) ?? this.#attachFailure(error, held, ioas);
    }
    change.hasEffect = true;
    for (const each of [held, ...siblings]) {
      old?.devices.delete(each.platform.device);
      each.ioas = ioas;
      ioas.devices.add(each.platform.device);
      this.#report("DEVICE_ATTACHED", each, ioas, started);
    }
  }

  async #check(held: HeldDevice, ioases: Iterable<Ioas>, event: string): Promise<void> {
    const cause = { event, device: held.platform.device };
    for (const ioas of ioases) await this.#parts.verifier.check(held.context, ioas, cause);
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
    const { devices, knowledge } = this.#parts;
    const { device } = held.platform;
    if (errnoOf(error) !== "EADDRINUSE") {
      const elsewhere = devices.attachedSiblings(held).find((sibling) => sibling.ioas !== ioas);
      return attachFailure(error, device, elsewhere?.platform.device);
    }
    const conflicts = ioas.allowList
      ? conflictsIn(ioas.allowList, [
          { platform: held.platform, reserved: knowledge.reserved(held.platform) },
        ])
      : [];
    return new HostError(
      "RangeConflict",
      `${device} reserves ranges that IOAS ${ioas.id} promises to allow or has mapped; shrink the list with allow-ranges, or attach the device to another IOAS`,
      { errno: "EADDRINUSE", conflicts },
    );
  }

  #report(event: "DEVICE_ATTACHED" | "DEVICE_DETACHED", held: HeldDevice, ioas: Ioas, started: number): void {
    const { observer, now } = this.#parts;
    const { context, platform } = held;
    const milliseconds = now() - started;
    observer({ event, device: platform.device, context: context.name, ioas: ioas.id, milliseconds });
  }
}
