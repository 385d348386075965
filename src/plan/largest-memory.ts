import type { Steps } from "../ranges/steps.ts";
import type { Machine } from "./machines.ts";
import { least, MemoryMaps } from "./memory-maps.ts";
import type { Plan } from "./plan.ts";

/** How many memory maps are looked at before the search is given up: some thousand are enough, as a rule. */
const MOST_MAPS = 100_000;

/**
 * The most memory below what the machine has, in bytes, with which it fits, everything else equal; undefined when there
 * is none. A multiple of 8 KiB, and of the alignment of mappings: nothing in between fits.
 *
 * Not a bisection: maps jump as memory grows, and what has not fitted may fit again. Between two jumps a window's start
 * stands still, and its end stands still or moves evenly. So the search goes down to where a window that does not fit
 * would, or where it jumps, and looks again. There are jumps in every gigabyte, for what lies above RAM begins at a
 * multiple of one. But they are the same in each: gigabytes that have the same in the way are passed over together.
 */
export function* largestMemory(machine: Machine, plan: Plan): Steps<bigint | undefined> {
  const maps = new MemoryMaps(machine, plan);
  let top = (machine.memory - 1n) / maps.unit;
  while (top > 0n && maps.made < MOST_MAPS) {
    const bottom = top > maps.period ? top - maps.period : 0n;
    let alike = bottom / maps.period;
    let units = top;
    while (units > bottom) {
      const obstacle = maps.obstacleAt(units);
      if (obstacle === undefined) return units * maps.unit;
      const below = maps.unitsBelow(units, obstacle);
      units = below > bottom ? below : bottom;
      if (alike > 0n) alike = least(alike, maps.periodsAlike(units + 1n, obstacle));
      yield;
    }
    top = bottom - alike * maps.period;
  }
  return undefined;
}
