import type { DeviceRecord } from "../devices/device-record.ts";
import type { Blocker } from "../platform/blockers.ts";
import { read, write } from "./entries.ts";
import type { Journal } from "./journal.ts";

/**
 * The devices as listeners were told of them, for a later life. Where a held one is attached has an entry of its own: a
 * record that differs in nothing else is not kept again.
 */
export class KeptRecords {
  readonly #journal: Journal;
  readonly #kept = new Map<string, DeviceRecord>();

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Null: the device has gone. */
  put(device: string, record: DeviceRecord | null): void {
    const kept = this.#kept.get(device);
    if (record) this.#kept.set(device, record);
    else this.#kept.delete(device);
    if (record && kept && differInSeat(kept, record)) return;
    write(this.#journal, "device", device, record);
  }
}

/** Those that an earlier life has kept. */
export function readRecords(journal: Journal): DeviceRecord[] {
  const seats = new Map(read(journal, "attached"));
  return Array.from(read(journal, "device"), ([device, record]) => {
    if (!isOurs(record)) return record;
    const ioas = seats.get(device) ?? null;
    return { ...record, state: ioas === null ? "held" : "attached", ioas };
  });
}

const isOurs = ({ state }: DeviceRecord) => state === "held" || state === "attached";

/** Whether the two differ in where the device is attached, if at all. What only looks different is kept once more. */
function differInSeat(a: DeviceRecord, b: DeviceRecord): boolean {
  return (
    isOurs(a) &&
    isOurs(b) &&
    a.platform === b.platform &&
    a.context === b.context &&
    a.deviceId === b.deviceId &&
    a.owner === b.owner &&
    a.assignable === b.assignable &&
    a.available === b.available &&
    a.blockers.length === b.blockers.length &&
    a.blockers.every((blocker, i) => isSame(blocker, b.blockers[i] as Blocker))
  );
}

const isSame = (a: Blocker, b: Blocker) =>
  a.device === b.device &&
  a.reason === b.reason &&
  a.detail === b.detail &&
  a.transient === b.transient &&
  a.region === b.region &&
  a.devices === b.devices;
