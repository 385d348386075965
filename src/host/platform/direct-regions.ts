import type { Region } from "./reserved-regions.ts";

/** Who carries a 1:1 region: a group's file lists it for all of the group. */
export interface Carriers {
  readonly groups: number;
  readonly devices: number;
  /** Some of their names, sorted: all, as long as they are few. */
  readonly names: readonly string[];
}

/** How many names are told: a board's region can be on every one of its devices. */
const NAMED = 64;

interface Entry {
  readonly members: Map<number, readonly string[]>;
  devices: number;
}

/** Which groups have which 1:1 regions, for telling those of one device from those of the whole board. */
export class DirectRegions {
  readonly #entries = new Map<string, Entry>();
  readonly #keysOf = new Map<number, readonly string[]>();
  /** Regions whose carriers have changed since they were last asked for. */
  readonly #changed = new Set<string>();

  set(group: number, members: readonly string[], regions: readonly Region[]): void {
    this.remove(group);
    if (regions.length === 0) return;
    const keys = [...new Set(regions.map(keyOf))];
    this.#keysOf.set(group, keys);
    for (const key of keys) {
      const entry = this.#entries.get(key) ?? { members: new Map(), devices: 0 };
      this.#entries.set(key, entry);
      entry.members.set(group, members);
      entry.devices += members.length;
      this.#changed.add(key);
    }
  }

  remove(group: number): void {
    for (const key of this.#keysOf.get(group) ?? []) {
      const entry = this.#entries.get(key);
      if (!entry) continue;
      entry.devices -= entry.members.get(group)?.length ?? 0;
      entry.members.delete(group);
      if (entry.members.size === 0) this.#entries.delete(key);
      this.#changed.add(key);
    }
    this.#keysOf.delete(group);
  }

  carriers(region: Region): Carriers {
    const { members, devices } = this.#entries.get(keyOf(region)) ?? { members: new Map(), devices: 0 };
    const names: string[] = [];
    for (const some of members.values()) {
      names.push(...some.slice(0, NAMED - names.length));
      if (names.length === NAMED) break;
    }
    return { groups: members.size, devices, names: names.sort() };
  }

  /** The groups that have a region whose carriers have changed since the last time. */
  takeChanged(): Set<number> {
    const groups = new Set<number>();
    for (const key of this.#changed) {
      for (const group of this.#entries.get(key)?.members.keys() ?? []) groups.add(group);
    }
    this.#changed.clear();
    return groups;
  }
}

function keyOf({ start, last, type }: Region): string {
  return `${start} ${last} ${type}`;
}
