import { ascending } from "../../ranges/order.ts";
import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { finish } from "../../ranges/steps.ts";
import type { Limit, Pool } from "./pool.ts";
import type { Profile } from "./profile.ts";

/** Hosts that cost their pool ranges, which all others allow. */
export interface Outlier {
  /** By name; with the devices of each that alone exclude any of it. */
  readonly hosts: readonly {
    readonly host: string;
    readonly devices: readonly string[];
    readonly stale: boolean;
  }[];
  /** What all of them exclude, and nobody else. */
  readonly ranges: RangeSet;
  /** How many bytes that is. */
  readonly bytes: bigint;
  /** What the pool would gain without them, in bytes: also what some of them exclude, and nobody else. */
  readonly gain: bigint;
}

export interface Outliers {
  /** Greatest loss first. */
  readonly outliers: readonly Outlier[];
  /** How many more there are, of less loss. */
  readonly more: number;
}

const MOST = 32;

/**
 * Who costs a pool what: at most half of its hosts at a time, for of more than that not much would be left without
 * them. Hosts that exclude a range together are one outlier.
 */
export function outliersOf(pool: Pool, most = MOST): Outliers {
  const sweep = new Sweep(pool.limits);
  const half = pool.size / 2;
  const found = new Map<string, { bytes: bigint; ranges: Range[] }>();
  sweep.run((range, open) => {
    if (open.hosts > half) return;
    const known = found.get(open.key);
    const bytes = range.last - range.start + 1n;
    if (!known) found.set(open.key, { bytes, ranges: [range] });
    else {
      known.bytes += bytes;
      known.ranges.push(range);
    }
  });
  const order = [...found].sort(([, a], [, b]) => (a.bytes > b.bytes ? -1 : a.bytes < b.bytes ? 1 : 0));
  const told = order.slice(0, most);
  const members = sweep.membersOf(new Set(told.map(([key]) => key)));
  const gains = gainsOf(
    sweep,
    told.map(([key]) => members.get(key) ?? []),
  );
  const outliers = told.map(([key, { bytes, ranges: list }], i): Outlier => {
    const ranges = RangeSet.from(list);
    const limits = (members.get(key) ?? []).map((index) => pool.limits[index] as Limit);
    return { hosts: hostsOf(limits, ranges), ranges, bytes, gain: gains[i] as bigint };
  });
  return { outliers, more: order.length - told.length };
}

function hostsOf(limits: readonly Limit[], ranges: RangeSet): Outlier["hosts"] {
  const costs = (allowed: RangeSet) => [...ranges].some((range) => !allowed.covers(range));
  const guilty = new Map<Profile | undefined, string[]>();
  const all = limits.flatMap(({ hosts }) => hosts);
  const named = all.map(({ host, profile, state }) => {
    const assignable = profile?.devices.filter((each) => each.assignable) ?? [];
    const devices =
      guilty.get(profile) ?? assignable.filter(({ allowed }) => costs(allowed)).map(({ device }) => device);
    guilty.set(profile, devices);
    return { host, devices, stale: state === "stale" };
  });
  return named.sort((a, b) => (a.host < b.host ? -1 : 1));
}

/** For each set of limits: how many bytes only its members exclude. */
function gainsOf(sweep: Sweep, sets: readonly (readonly number[])[]): bigint[] {
  const setsOf = new Map<number, number[]>();
  for (const [set, members] of sets.entries()) {
    for (const member of members) {
      const known = setsOf.get(member);
      if (known) known.push(set);
      else setsOf.set(member, [set]);
    }
  }
  const open = new Uint32Array(sets.length);
  const gains = sets.map(() => 0n);
  sweep.run(
    ({ start, last }, { limits }) => {
      for (let set = 0; set < open.length; set++) {
        if (open[set] === limits) gains[set] = (gains[set] as bigint) + (last - start + 1n);
      }
    },
    (limit, by) => {
      for (const set of setsOf.get(limit) ?? []) (open[set] as number) += by;
    },
  );
  return gains;
}

/** Who excludes a place. */
interface Open {
  readonly limits: number;
  readonly hosts: number;
  /** The same for the same limits: two sums of 32 random bits each, so that a sweep need not write them down. */
  readonly key: string;
}

/** Goes through what a pool's limits exclude, in ascending order. */
class Sweep {
  readonly #limits: readonly Limit[];
  readonly #starts: Places;
  readonly #lasts: Places;

  constructor(limits: readonly Limit[]) {
    this.#limits = limits;
    const holes = limits.map(({ allowed }) => allowed.invert());
    this.#starts = placesOf(holes, ({ start }) => start);
    this.#lasts = placesOf(holes, ({ last }) => last);
  }

  /** Tells every range that anybody excludes, split where others do, and every limit that comes or goes. */
  run(
    visit: (range: Range, open: Open) => void,
    changed: (limit: number, by: 1 | -1) => void = () => {},
  ): void {
    let [limits, hosts, a, b] = [0, 0, 0, 0];
    let from = 0n;
    for (let i = 0, j = 0; j < this.#lasts.at.length; ) {
      const start = this.#starts.at[i];
      const last = this.#lasts.at[j] as bigint;
      const isStart = start !== undefined && start <= last;
      const end = isStart ? start - 1n : last;
      if (limits > 0 && end >= from) visit({ start: from, last: end }, { limits, hosts, key: `${a}:${b}` });
      from = end + 1n;
      const by = isStart ? 1 : -1;
      const limit = (isStart ? this.#starts.limits[i++] : this.#lasts.limits[j++]) as number;
      limits += by;
      hosts += by * (this.#limits[limit] as Limit).hosts.length;
      a = (a + by * mixed(limit)) >>> 0;
      b = (b + by * mixed(~limit)) >>> 0;
      changed(limit, by);
    }
  }

  /** The limits, by index, that each of the keys stands for. */
  membersOf(keys: ReadonlySet<string>): Map<string, number[]> {
    const found = new Map<string, number[]>();
    const open = new Set<number>();
    this.run(
      (_, { key }) => {
        if (keys.has(key) && !found.has(key))
          found.set(
            key,
            [...open].sort((x, y) => x - y),
          );
      },
      (limit, by) => {
        if (by === 1) open.add(limit);
        else open.delete(limit);
      },
    );
    return found;
  }
}

/** Addresses in ascending order, each with the index of the limit that it is of. */
interface Places {
  readonly at: BigUint64Array;
  readonly limits: Uint32Array;
}

function placesOf(holes: readonly RangeSet[], place: (range: Range) => bigint): Places {
  const size = holes.reduce((sum, { size }) => sum + size, 0);
  const at = new BigUint64Array(size);
  const limits = new Uint32Array(size);
  let i = 0;
  for (const [limit, set] of holes.entries()) {
    for (const range of set) {
      at[i] = place(range);
      limits[i++] = limit;
    }
  }
  const order = finish(ascending(at));
  return {
    at: at.map((_, i) => at[order[i] as number] as bigint),
    limits: order.map((i) => limits[i] as number),
  };
}

/** 32 bits that look random, the same for the same number (the finaliser of MurmurHash3). */
function mixed(number: number): number {
  let bits = number >>> 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
