import type { End, Loss } from "../changes.ts";
import type { Ioas } from "../contexts/ioas.ts";
import { IoasChange } from "../contexts/ioas-change.ts";
import type { Attachments } from "../devices/attachments.ts";
import type { HeldDevice, HeldDevices } from "../devices/held-devices.ts";
import { attachInsisting } from "../devices/refusals.ts";
import { errnoOf } from "../failures.ts";
import type { Intents } from "./intents.ts";
import type { Journal } from "./journal.ts";

export interface SeatsParts {
  readonly devices: HeldDevices;
  readonly attachments: Attachments;
  readonly journal: Journal;
  /** Why devices leave. */
  readonly end: End;
  readonly lose: (loss: Loss) => void;
}

/** No IOAS has it. */
const NONE = -1;

/** Where devices are attached, which the kernel does not tell: what may not be so is made so. */
export class Seats {
  readonly #parts: SeatsParts;

  constructor(parts: SeatsParts) {
    this.#parts = parts;
  }

  /**
   * What was under way is completed, for it may have been answered: an attach, unless the kernel refuses it, and a detach. One
   * that is attached nowhere is detached, which changes nothing if it is so.
   */
  async restore(intents: Intents): Promise<void> {
    const { attachments, devices, end } = this.#parts;
    for (const intent of intents.to("attach", "detach")) {
      const held = devices.get(intent.device);
      if (!held) continue;
      if (intent.operation === "detach" && held.ioas)
        await this.#detach(held, () => attachments.left(held, held.ioas as Ioas, 0, end));
      const ioas = intent.operation === "attach" ? held.context.ioases.get(intent.ioas ?? NONE) : undefined;
      if (ioas && held.ioas && held.ioas !== ioas) await this.#move(held, held.ioas, ioas);
      else {
        // Whether the kernel takes an attach depends on where the others of the group are.
        await this.#restoreGroup(held.platform.group);
        if (ioas && !held.ioas) await this.#attach([held], [ioas], ioas);
      }
    }
    for (const held of devices.all()) if (!held.ioas) await this.#detach(held);
  }

  /** Puts the devices of the IOAS, and their siblings, where they were once more. */
  async restoreIn(ioas: Ioas): Promise<void> {
    const devices = this.#parts.devices.all().filter((held) => held.ioas === ioas);
    for (const group of new Set(devices.map(({ platform }) => platform.group)))
      await this.#restoreGroup(group);
  }

  /** The IOAS has gone from under the device. */
  left(held: HeldDevice, ioas: Ioas): void {
    this.#parts.attachments.left(held, ioas, 0, this.#parts.end);
  }

  /**
   * As it was asked for: a replace moves all of the group that is attached. Not by way of where it was: if it has moved, that
   * IOAS may have an allow list by now which does not let it in.
   */
  async #move(held: HeldDevice, from: Ioas, ioas: Ioas): Promise<void> {
    const { group } = held.platform;
    const members = this.#membersOf(group);
    for (const each of members) await this.#detach(each);
    const moving = members.filter((each) => each.ioas === from);
    if (!(await this.#attach(moving, [from, ioas], ioas))) await this.#restoreGroup(group);
  }

  /** Whether the kernel has taken all of them. `changed`: the IOASes whose answers are other ones behind it. */
  async #attach(moving: readonly HeldDevice[], changed: readonly Ioas[], ioas: Ioas): Promise<boolean> {
    const { attachments, journal } = this.#parts;
    const change = new IoasChange();
    for (const each of changed) change.include(each);
    change.hasEffect = true;
    try {
      for (const { vfio } of moving) await attachInsisting(vfio, ioas.id);
      journal.together(() => {
        for (const each of moving) attachments.arrived(each, ioas, 0);
        change.takeEffect();
      });
      return true;
    } catch (error) {
      // It was not answered, then.
      if (errnoOf(error) === undefined) throw error;
      return false;
    } finally {
      change.end();
    }
  }

  #membersOf(group: number): HeldDevice[] {
    return this.#parts.devices.all().filter(({ platform }) => platform.group === group);
  }

  async #restoreGroup(group: number): Promise<void> {
    const members = this.#membersOf(group);
    for (const held of members) await this.#detach(held);
    for (const held of members) {
      const { ioas } = held;
      if (!ioas) continue;
      try {
        await attachInsisting(held.vfio, ioas.id);
      } catch (error) {
        const errno = errnoOf(error);
        if (errno === undefined) throw error;
        this.left(held, ioas);
        this.#parts.lose({
          device: held.platform.device,
          ioas: ioas.id,
          reason: `it cannot be attached again: ${errno}`,
        });
      }
    }
  }

  /** What the IOAS of the device allows may be another set from now on. */
  async #detach(held: HeldDevice, detached: () => void = () => {}): Promise<void> {
    const change = new IoasChange();
    if (held.ioas) change.include(held.ioas);
    change.hasEffect = true;
    try {
      await held.vfio.detach();
      this.#parts.journal.together(() => {
        detached();
        // In one record with that: of one that is not attached any more the next life has nothing to complete.
        change.takeEffect();
      });
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      this.#parts.lose({ device: held.platform.device, reason: `the kernel does not detach it: ${errno}` });
    } finally {
      change.end();
    }
  }
}
