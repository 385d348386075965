import { U64_MAX } from "../ranges/address.ts";
import type { Range } from "../ranges/range.ts";
import { type Window, windowFits } from "./layout.ts";
import { GiB } from "./machines/memory-map.ts";
import { type Machine, machineWindows } from "./machines.ts";
import type { Plan } from "./plan.ts";

/** QEMU rounds `-m` up to it (`hw/core/machine.c: machine_set_mem`). */
const MEMORY_UNIT = 8192n;
/** What takes the place of all windows where the VMM refuses the guest. It fits nowhere. */
const REFUSED: Window = { name: "", start: 0n, last: U64_MAX, required: true };

/** The memory maps of a machine by how much memory it has, in units, and what of them does not fit. */
export class MemoryMaps {
  readonly unit: bigint;
  /** The units of a gigabyte. */
  readonly period: bigint;
  /** How many maps were made. */
  made = 0;
  readonly #machine: Machine;
  readonly #plan: Plan;

  constructor(machine: Machine, plan: Plan) {
    this.#machine = machine;
    this.#plan = plan;
    this.unit = plan.alignment !== null && plan.alignment > MEMORY_UNIT ? plan.alignment : MEMORY_UNIT;
    this.period = this.unit < GiB ? GiB / this.unit : 1n;
  }

  /** The name of the first window that does not fit. */
  obstacleAt(units: bigint): string | undefined {
    const obstacle = this.#at(units).find((window) => window === REFUSED || !windowFits(this.#plan, window));
    return obstacle?.name;
  }

  /** The next less memory with which the window, which does not fit, may fit. */
  unitsBelow(units: bigint, name: string): bigint {
    const trend = this.#trend(units, name);
    const jump = this.#firstLike(units, name, trend) - 1n;
    if (trend.growth !== this.unit) return jump;
    const excess = excessOf(this.#place(units, name) as Range, this.#plan);
    const enough = units - divideUp(excess, this.unit);
    return excess > 0n && enough > jump ? enough : jump;
  }

  /** For how many gigabytes less the window, which does not fit, certainly does not fit either. */
  periodsAlike(units: bigint, name: string): bigint {
    // Where RAM ends below 4 GiB it has no second part.
    const most = (units - 1n - (4n * GiB) / this.unit) / this.period;
    const here = this.#place(units, name);
    const next = most > 0n ? this.#place(units - this.period, name) : undefined;
    if (!here || !next) return 0n;
    const start = here.start - next.start;
    const last = here.last - next.last;
    const isAlike = (periods: bigint) => {
      const place = this.#place(units - periods * this.period, name);
      return place?.start === here.start - periods * start && place.last === here.last - periods * last;
    };
    const excess = excessOf(here, this.#plan);
    return greatest(last > 0n && excess > 0n ? least(divideUp(excess, last) - 1n, most) : most, isAlike);
  }

  /** The least memory from which on the window does as it does here. */
  #firstLike(units: bigint, name: string, trend: Trend): bigint {
    let like = units;
    let unlike = 0n;
    for (let step = 1n; like - step > 0n; step *= 2n) {
      const further = like - step;
      if (!isSame(this.#trend(further, name), trend)) {
        unlike = further;
        break;
      }
      like = further;
    }
    while (like - unlike > 1n) {
      const middle = (like + unlike) / 2n;
      if (isSame(this.#trend(middle, name), trend)) like = middle;
      else unlike = middle;
    }
    return like;
  }

  #trend(units: bigint, name: string): Trend {
    const here = this.#place(units, name);
    const below = this.#place(units - 1n, name);
    return {
      gigabyte: this.#ramEnd(units) / GiB,
      start: here?.start,
      growth: here && below && here.last - below.last,
    };
  }

  #place(units: bigint, name: string): Range | undefined {
    return this.#at(units).find((window) => window.name === name);
  }

  /** Where RAM ends, also of a guest that is refused for what lies above it. */
  #ramEnd(units: bigint): bigint {
    const alone = { maxMemory: undefined, slots: undefined, hotplugSize: undefined, physBits: undefined };
    return this.#at(units, alone).at(-1)?.last ?? 0n;
  }

  /** The windows that the guest needs, ascending. */
  #at(units: bigint, change: Partial<Machine> = {}): readonly Window[] {
    this.made++;
    try {
      const windows = machineWindows({ ...this.#machine, ...change, memory: units * this.unit } as Machine);
      return windows.filter(({ required }) => required);
    } catch (error) {
      if (error instanceof RangeError) return [REFUSED];
      throw error;
    }
  }
}

/** What a window does as memory grows by a unit. */
interface Trend {
  /** That in which RAM ends: with the next one, all that lies above it jumps. */
  readonly gigabyte: bigint;
  /** Undefined where there is no such window. */
  readonly start: bigint | undefined;
  /** By how many bytes its end has moved since the unit below; undefined when it was not there. */
  readonly growth: bigint | undefined;
}

function isSame(a: Trend, b: Trend): boolean {
  return a.gigabyte === b.gigabyte && a.start === b.start && a.growth === b.growth;
}

/** By how many bytes it would have to end lower, to reach none of the addresses that stand in its way. */
function excessOf({ start, last }: Range, { ranges }: Plan): bigint {
  const index = ranges.indexFrom(start);
  if (ranges.contains(start)) return last - ranges.at(index).last;
  return index > 0 ? last - ranges.at(index - 1).last : last + 1n;
}

/** The greatest number up to `most` of which `isSo`, where it is so from 0 on and then not any more. */
function greatest(most: bigint, isSo: (number: bigint) => boolean): bigint {
  if (isSo(most)) return most;
  let so = 0n;
  let not = most;
  while (not - so > 1n) {
    const middle = (so + not) / 2n;
    if (isSo(middle)) so = middle;
    else not = middle;
  }
  return so;
}

function divideUp(a: bigint, b: bigint): bigint {
  return (a + b - 1n) / b;
}

export function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
