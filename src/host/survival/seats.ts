import type { End, Loss } from "../changes.ts";
import type { Ioas } from "../contexts/ioas.ts";
import { IoasChange } from "../contexts/ioas-change.ts";
import type { Attachments } from "../devices/attachments.ts";
import type { HeldDevice, HeldDevices } from "../devices/held-devices.ts";
import { attachInsisting } from "../devices/refusals.ts";
import { errnoOf } from "../failures.ts";
import { read, write } from "./entries.ts";
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

/** Where devices are attached, which the kernel does not tell: what may not be so is made so. */
export class Seats {
  readonly #parts: SeatsParts;

  constructor(parts: SeatsParts) {
    this.#parts = parts;
  }

  /** Puts devices in the model where the earlier life had them without having told listeners, and tells these. */
  catchUp(): void {
    const { attachments, devices, journal, lose } = this.#parts;
    journal.together(() => {
      for (const [device, { ioas: id }] of [...read(journal, "moved")]) {
        write(journal, "moved", device, null);
        const held = devices.get(device);
        const ioas = id === null ? null : held?.context.ioases.get(id);
        if (!held || held.ioas === ioas) continue;
        if (ioas) attachments.arrived(held, ioas, 0);
        else if (held.ioas) this.left(held, held.ioas);
        if (ioas === undefined)
          lose({
            device,
            ioas: id as number,
            reason: "it was attached, and the journal has no entry for the IOAS",
          });
      }
    });
  }

  /**
   * One that is attached nowhere is detached, which changes nothing if it is so; those of a group that something was under
   * way with are put where they were.
   */
  async restore(intents: Intents): Promise<void> {
    const { attachments, devices, end } = this.#parts;
    for (const { device } of intents.to("detach")) {
      const held = devices.get(device);
      if (held?.ioas) await this.#detach(held, () => attachments.left(held, held.ioas as Ioas, 0, end));
    }
    const moved = [...intents.to("attach"), ...intents.to("detach")];
    const groups = moved.flatMap(({ device }) => devices.get(device)?.platform.group ?? []);
    for (const group of new Set(groups)) await this.#restoreGroup(group);
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

  async #restoreGroup(group: number): Promise<void> {
    const members = this.#parts.devices.all().filter(({ platform }) => platform.group === group);
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
      detached();
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      this.#parts.lose({ device: held.platform.device, reason: `the kernel does not detach it: ${errno}` });
    } finally {
      change.end();
    }
  }
}
