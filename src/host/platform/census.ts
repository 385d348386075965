import { finish } from "../../ranges/steps.ts";
import type { Platform, PlatformDevice } from "./platform.ts";

/** An IOMMU group with its devices, as they were seen last. */
export interface Group {
  readonly number: number;
  /** By name. */
  readonly devices: ReadonlyMap<string, SeenDevice>;
  /** Who is in it, on which drivers: what depends on these holds for as long as it is the same. */
  readonly identity: string;
}

/** A device as it was seen last. */
export interface SeenDevice extends PlatformDevice {
  /** Somebody other than this daemon had it bound. */
  readonly isInUse: boolean;
}

export interface CensusParts {
  readonly platform: Platform;
  /** Whether the daemon has the device, or is working on it: then it is no news that it is bound. */
  readonly isOurs: (device: string) => boolean;
}

/**
 * The devices of the host as they were seen last. Looking is dear where there are many, so it goes in steps, of a device
 * each; who asks about one device looks at its group.
 */
export class Census {
  readonly #parts: CensusParts;
  readonly #devices = new Map<string, SeenDevice>();
  readonly #groups = new Map<number, CountedGroup>();
  /** Those that are another device when they are seen next. */
  readonly #replaced = new Set<string>();
  readonly #missing = new Set<string>();

  constructor(parts: CensusParts) {
    this.#parts = parts;
  }

  get(device: string): SeenDevice | undefined {
    return this.#devices.get(device);
  }

  /** As {@link get}, unless the device has left its group since. */
  present(device: string): SeenDevice | undefined {
    return this.#missing.has(device) ? undefined : this.#devices.get(device);
  }

  group(number: number): Group | undefined {
    return this.#groups.get(number);
  }

  /** The numbers of the groups that were seen, and are not known to have gone. */
  groups(): number[] {
    return [...this.#groups.keys()];
  }

  /** Those that were seen, and have left their group since: see remove(). */
  missing(): string[] {
    return [...this.#missing];
  }

  /** Looks at the device and its group. Undefined when there is none of that name, or it has no IOMMU group. */
  find(device: string): SeenDevice | undefined {
    const group = this.groupOf(device);
    if (group === undefined) return undefined;
    finish(this.look(group));
    return this.present(device);
  }

  /** The number of the device's group at this moment. */
  groupOf(device: string): number | undefined {
    const found = this.#parts.platform.groupOf(device);
    if (found !== undefined) return found;
    // A group that has two devices of one name gives the second another (drivers/iommu/iommu.c: iommu_group_alloc_device).
    const seen = this.#devices.get(device);
    return seen && this.#parts.platform.isMember(device, seen.group) ? seen.group : undefined;
  }

  /** Looks at a group, device by device. */
  *look(number: number): Generator<undefined, void> {
    for (const device of this.#parts.platform.members(number)) {
      const before = this.#replaced.has(device) ? undefined : this.#devices.get(device);
      const read = this.#parts.platform.read(device, number, before);
      const isInUse =
        read.vfioDevice !== null && !this.#parts.isOurs(device) && this.#parts.platform.isEnabled(read);
      this.#replaced.delete(device);
      this.#note({ ...read, isInUse });
      yield;
    }
    for (const device of [...(this.#groups.get(number)?.devices.keys() ?? [])]) {
      if (this.#parts.platform.isMember(device, number)) continue;
      this.#leave(device, number);
      this.#missing.add(device);
    }
  }

  /** A device as it was seen in an earlier life; the next look tells whether it still is there. */
  takeOver(device: PlatformDevice): void {
    this.#note({ ...device, isInUse: false });
  }

  /** Whatever is seen next under the name is another device. */
  forget(device: string): void {
    if (this.#devices.has(device)) this.#replaced.add(device);
  }

  forgetAll(): void {
    for (const device of this.#devices.keys()) this.#replaced.add(device);
  }

  /** A device that has gone. */
  remove(device: string): void {
    const seen = this.#devices.get(device);
    if (!seen) return;
    this.#devices.delete(device);
    this.#replaced.delete(device);
    this.#missing.delete(device);
    this.#leave(device, seen.group);
  }

  #leave(device: string, number: number): void {
    const group = this.#groups.get(number);
    group?.delete(device);
    if (group?.devices.size === 0) this.#groups.delete(number);
  }

  #note(seen: SeenDevice): void {
    const before = this.#devices.get(seen.device);
    if (before && before.group !== seen.group) this.#leave(seen.device, before.group);
    this.#missing.delete(seen.device);
    let group = this.#groups.get(seen.group);
    if (!group) {
      group = new CountedGroup(seen.group);
      this.#groups.set(seen.group, group);
    }
    this.#devices.set(seen.device, seen);
    group.set(seen, before?.group === seen.group && before.driver === seen.driver);
  }
}

class CountedGroup implements Group {
  readonly number: number;
  readonly #devices = new Map<string, SeenDevice>();
  #identity: string | undefined;

  constructor(number: number) {
    this.number = number;
  }

  get devices(): ReadonlyMap<string, SeenDevice> {
    return this.#devices;
  }

  get identity(): string {
    this.#identity ??= [...this.#devices.values()]
      .map(({ device, driver }) => `${device}=${driver ?? ""}`)
      .sort()
      .join(" ");
    return this.#identity;
  }

  set(seen: SeenDevice, isSame: boolean): void {
    this.#devices.set(seen.device, seen);
    if (!isSame) this.#identity = undefined;
  }

  delete(device: string): void {
    this.#devices.delete(device);
    this.#identity = undefined;
  }
}
