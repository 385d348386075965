import type { Steps } from "../ranges/steps.ts";
import { type Window, windowFits } from "./layout.ts";
import { type Machine, machineWindows } from "./machines.ts";
import type { Plan } from "./plan.ts";

/** QEMU rounds `-m` up to it (`hw/core/machine.c: machine_set_mem`). */
const MEMORY_UNIT = 8192n;
/** How many memory maps are looked at before the search is given up. */
const MOST_MAPS = 100_000;

/**
 * The most memory below what the machine has, in bytes, with which it fits, everything else equal; undefined when there
 * is none. A multiple of 8 KiB, and of the alignment of mappings: nothing in between fits.
 *
 * Not a bisection: maps jump as memory grows, and what has not fitted may fit again. Between two jumps a window's start
 * stands still, and its end stands still or moves evenly. So the search goes down to where a window that does not fit
 * would, or where it jumps, and looks again.
 */
export function* largestMemory(machine: Machine, plan: Plan): Steps<bigint | undefined> {
  const unit = plan.alignment !== null && plan.alignment > MEMORY_UNIT ? plan.alignment : MEMORY_UNIT;
  const maps = new Maps(machine, unit);
  let units = (machine.memory - 1n) / unit;
  while (units > 0n && maps.made < MOST_MAPS) {
    const required = maps.at(units);
    const obstacle = required?.find((window) => !windowFits(plan, window));
    if (required && !obstacle) return units * unit;
    units = maps.unitsBelow(units, obstacle?.name, obstacle ? excess(obstacle, plan) : 0n);
    yield;
  }
  return undefined;
}

/** By how many bytes a window is too long where it starts; 0 when a shorter one would not fit either. */
function excess({ start, last }: Window, { ranges }: Plan): bigint {
  if (!ranges.contains(start)) return 0n;
  const room = ranges.at(ranges.indexFrom(start)).last;
  return last > room ? last - room : 0n;
}

/** The memory maps of a machine by how much memory it has, in units. */
class Maps {
  readonly #machine: Machine;
  readonly #unit: bigint;
  made = 0;

  constructor(machine: Machine, unit: bigint) {
    this.#machine = machine;
    this.#unit = unit;
  }

  /** The windows that the guest needs; undefined when the VMM refuses it. */
  at(units: bigint): Window[] | undefined {
    this.made++;
    try {
      const windows = machineWindows({ ...this.#machine, memory: units * this.#unit });
      return windows.filter(({ required }) => required);
    } catch (error) {
      if (error instanceof RangeError) return undefined;
      throw error;
    }
  }

  /** The next less memory with which the window of that name, or a refusal, is another, and `excess` bytes shorter. */
  unitsBelow(units: bigint, name: string | undefined, excess: bigint): bigint {
    const trend = this.#trend(units, name);
    if (excess > 0n && trend.growth === this.#unit) {
      const enough = units - (excess + this.#unit - 1n) / this.#unit;
      if (enough > 0n && isSame(this.#trend(enough, name), trend)) return enough;
    }
    return this.#firstLike(units, name, trend) - 1n;
  }

  /** The least memory from which on the window does as it does here. */
  #firstLike(units: bigint, name: string | undefined, trend: Trend): bigint {
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

  #trend(units: bigint, name: string | undefined): Trend {
    const windows = this.at(units);
    if (name === undefined || !windows) return { start: windows ? null : undefined, growth: 0n };
    const here = windows.find((window) => window.name === name);
    const below = this.at(units - 1n)?.find((window) => window.name === name);
    return { start: here?.start ?? null, growth: here && below ? here.last - below.last : null };
  }
}

/** What a window does as memory grows by a unit. */
interface Trend {
  /** Null where there is no such window, undefined where the VMM refuses the guest. */
  readonly start: bigint | null | undefined;
  /** By how many bytes its end has moved since the unit below; null when it was not there. */
  readonly growth: bigint | null;
}

function isSame(a: Trend, b: Trend): boolean {
  return a.start === b.start && a.growth === b.growth;
}
