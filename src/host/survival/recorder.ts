import type { Change } from "../changes.ts";
import type { Context } from "../contexts/context.ts";
import type { Growth, Ioas } from "../contexts/ioas.ts";
import type { DeviceRecord } from "../devices/device-record.ts";
import type { HandedOverDevices } from "../devices/handed-over-devices.ts";
import type { HeldDevices } from "../devices/held-devices.ts";
import type { Learnt, Refusal } from "../knowledge/learnt.ts";
import { ioasKey, write } from "./entries.ts";
import type { Journal } from "./journal.ts";
import { KeptRecords } from "./kept-records.ts";

export interface RecorderParts {
  readonly journal: Journal;
  readonly devices: HeldDevices;
  readonly handedOver: HandedOverDevices;
  /** The context of that name, also one that is ending. */
  readonly context: (name: string) => Context | undefined;
}

/** What the next life tells by itself. */
const LATER: ReadonlySet<Change["event"]> = new Set([
  "DEVICE_ATTACHED",
  "DEVICE_DETACHED",
  "ALLOWED_RANGES_CHANGED",
]);

/**
 * Keeps the model for a later life. What is kept changes together with what listeners are told, so that the two do not
 * disagree, whenever this one ends.
 */
export class Recorder {
  readonly #parts: RecorderParts;
  readonly #journal: Journal;
  readonly #records: KeptRecords;

  constructor(parts: RecorderParts) {
    this.#parts = parts;
    this.#journal = parts.journal;
    this.#records = new KeptRecords(parts.journal);
  }

  /** Keeps the first records, which no change tells of. */
  begin(records: readonly DeviceRecord[]): void {
    this.#journal.together(() => {
      for (const record of records) this.#records.put(record.platform.device, record);
    });
  }

  /**
   * Keeps what the change has made of the model, with what `tell` puts behind. Of an attach and a detach that is kept later:
   * until then the journal has that they are under way, and a later life completes them.
   */
  note(change: Change, tell: () => void): void {
    if (LATER.has(change.event)) {
      this.#journal.behind(() => this.#keep(change));
      tell();
      return;
    }
    this.#journal.together(() => {
      // What was told before is kept before.
      this.#journal.flush();
      this.#keep(change);
      tell();
      this.#journal.flush();
    });
  }

  #keep(change: Change): void {
    const journal = this.#journal;
    if ("record" in change) this.#records.put(change.device, change.record);
    switch (change.event) {
      case "DEVICE_REMOVED":
        this.#records.put(change.device, null);
        break;
      case "DEVICE_HELD":
        this.#held(change.device);
        break;
      case "DEVICE_ATTACHED":
        // Behind the others that are attached there, also if it comes from elsewhere.
        write(journal, "attached", change.device, null);
        write(journal, "attached", change.device, change.ioas);
        break;
      case "DEVICE_DETACHED":
        write(journal, "attached", change.device, null);
        break;
      case "DEVICE_RELEASED":
        write(journal, "held", change.device, null);
        write(journal, "handed-over", change.device, null);
        break;
      case "DEVICE_HANDED_OVER":
        this.#handedOver(change.device);
        break;
      case "CONTEXT_CREATED":
      case "CONTEXT_HANDED_OVER":
        this.#context(change.context);
        break;
      case "CONTEXT_DESTROYED":
        write(journal, "context", change.context, null);
        write(journal, "looks", change.context, null);
        for (const device of this.#parts.handedOver.names()) this.#handedOver(device);
        break;
      case "IOAS_CREATED":
        this.#ioas(change.context, change.ioas);
        break;
      case "IOAS_DESTROYED":
        for (const kind of ["ioas", "generation", "told", "allow-list"] as const)
          write(journal, kind, ioasKey(change.context, change.ioas), null);
        break;
      case "ALLOW_LIST_CHANGED":
        write(
          journal,
          "allow-list",
          ioasKey(change.context, change.ioas),
          change.allowList && [...change.allowList],
        );
        break;
      case "ALLOWED_RANGES_CHANGED":
        write(journal, "told", ioasKey(change.context, change.ioas), [...change.ranges]);
    }
  }

  /**
   * Keeps the generation of an IOAS, by a change with that change: to complete it makes the generation grow once more. By an
   * answer it would not, so that is kept before the answer. Of an IOAS that others have made in a shared context, no more is
   * kept than that the context was looked at.
   */
  grown(context: Context, ioas: Ioas, by: Growth): void {
    const keep = () => {
      if (context.shared) write(this.#journal, "looks", context.name, context.looks);
      if (context.ioases.get(ioas.id) !== ioas) return;
      write(this.#journal, "generation", ioasKey(context.name, ioas.id), ioas.generation);
    };
    if (context.shared || by === "answer") this.#journal.together(keep);
    else this.#journal.behind(keep);
  }

  learnt(device: string, learnt: Learnt | null): void {
    write(this.#journal, "learnt", device, learnt && { ...learnt, ranges: [...learnt.ranges] });
  }

  refusal(device: string, refusal: Refusal | null): void {
    write(this.#journal, "refusal", device, refusal);
  }

  changes(of: string | number, count: number): void {
    write(this.#journal, "changes", of, count);
  }

  #context(name: string): void {
    const context = this.#parts.context(name);
    if (!context) return;
    const { lease, owner, shared } = context;
    write(this.#journal, "context", name, { lease, owner, shared });
  }

  #ioas(name: string, id: number): void {
    const ioas = this.#parts.context(name)?.ioases.get(id);
    if (ioas) write(this.#journal, "ioas", ioasKey(name, id), { owner: ioas.owner });
  }

  #held(device: string): void {
    const held = this.#parts.devices.get(device);
    if (!held) return;
    const { platform, context, owner, deviceId } = held;
    write(this.#journal, "held", device, { platform, context: context.name, owner, deviceId });
  }

  #handedOver(device: string): void {
    const given = this.#parts.handedOver.shown(device);
    if (!given) return;
    const { platform, context, owner } = given;
    const what = { platform, context: context.name, isOver: context.isOver, owner };
    write(this.#journal, "handed-over", device, what);
  }
}
