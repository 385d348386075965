import { deviceNotFound, devicesNotFound } from "./devices/device-failures.ts";
import type { DeviceRecord } from "./devices/device-record.ts";
import type { HandedOverDevices } from "./devices/handed-over-devices.ts";
import type { Inventory } from "./devices/inventory.ts";
import type { Records } from "./devices/records.ts";
import { readable, readableNow } from "./failures.ts";
import type { Blocker } from "./platform/blockers.ts";
import type { Census } from "./platform/census.ts";
import type { PlatformDevice } from "./platform/platform.ts";
import { type User, type Users, usersOf } from "./platform/users.ts";
import { inSlices, type Slice } from "./slice.ts";

export interface DirectoryParts {
  readonly census: Census;
  readonly records: Records;
  readonly inventory: Inventory;
  readonly handedOver: HandedOverDevices;
  readonly users: Users;
}

/**
 * Answers which devices there are and what they are like now. No more of the host is looked at than is asked about, and
 * what the look finds changed is told before the answer. Rejects with HostError; KernelError when sysfs cannot be read.
 */
export class Directory {
  readonly #parts: DirectoryParts;

  constructor(parts: DirectoryParts) {
    this.#parts = parts;
  }

  /** Looks at every device. */
  look(slice: Slice): Promise<void> {
    return readable(this.#parts.inventory.look(slice));
  }

  /** Every device, sorted by name. */
  async all(slice: Slice): Promise<DeviceRecord[]> {
    await this.look(slice);
    return this.#parts.records.all();
  }

  /** Rejects with HostError DeviceNotFound, too. */
  async one(device: string, slice: Slice): Promise<DeviceRecord> {
    const { handedOver, inventory, records } = this.#parts;
    await readable(inventory.lookAt(device, slice).then(() => handedOver.review([device])));
    const record = records.get(device);
    if (record) return record;
    throw deviceNotFound(device, this.#parts.census);
  }

  /** The devices of a group, sorted by name; none when there is no such group. */
  async ofGroup(group: number, slice: Slice): Promise<DeviceRecord[]> {
    const { census, handedOver, inventory, records } = this.#parts;
    const names = () => [...(census.group(group)?.devices.keys() ?? [])].sort();
    await readable(inventory.lookAtGroup(group, slice).then(() => handedOver.review(names())));
    return names().flatMap((device) => records.get(device) ?? []);
  }

  /** A device as sysfs shows it, whoever has it; nothing is told. Rejects with HostError DeviceNotFound, too. */
  async find(device: string, slice: Slice): Promise<PlatformDevice> {
    const { census } = this.#parts;
    const group = readableNow(() => census.groupOf(device));
    if (group !== undefined) await readable(inSlices(census.look(group), slice));
    const found = group === undefined ? undefined : census.present(device);
    if (found) return found;
    throw deviceNotFound(device, this.#parts.census);
  }

  /** The same of many, each name once; what has changed is told. The DeviceNotFound that it rejects with names all that are missing. */
  async findAll(names: Iterable<string>, slice: Slice): Promise<PlatformDevice[]> {
    const { census, inventory } = this.#parts;
    const wanted = [...new Set(names)];
    const groups = new Set<number>();
    for (const device of wanted) {
      const group = readableNow(() => census.groupOf(device));
      if (group !== undefined && !groups.has(group)) await readable(inventory.lookAtGroup(group, slice));
      if (group !== undefined) groups.add(group);
      if (slice.isOver) await slice.pass();
    }
    const found = wanted.flatMap((device) => census.present(device) ?? []);
    if (found.length === wanted.length) return found;
    const there = new Set(found.map(({ device }) => device));
    throw devicesNotFound(
      wanted.filter((device) => !there.has(device)),
      this.#parts.census,
    );
  }

  /** Tells of each device who else has it open; null where /proc cannot be read. Dear: see Users. */
  async users(): Promise<((record: DeviceRecord) => User[]) | null> {
    const found = await this.#parts.users.all();
    return found ? ({ platform }) => usersOf([platform], found) : null;
  }

  /** The records of devices, as they were last looked at. */
  recordsOf(devices: readonly PlatformDevice[]): DeviceRecord[] {
    return devices.flatMap(({ device }) => this.#parts.records.get(device) ?? []);
  }

  /** What keeps the devices from guests until somebody changes the host; as they were last looked at. */
  lastingBlockers(devices: readonly PlatformDevice[]): Blocker[] {
    const blockers = devices.flatMap(({ device }) => this.#parts.records.get(device)?.blockers ?? []);
    return blockers.filter(({ transient }) => !transient);
  }
}
