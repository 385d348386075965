import type { Exclusion } from "../attribution/attribution.ts";
import { alignRangeInwards } from "../ranges/align.ts";
import type { Range } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import { STEP, type Steps } from "../ranges/steps.ts";
import type { Plan } from "./plan.ts";

/** A part of a guest's address space that devices are to reach. */
export interface Window extends Range {
  readonly name: string;
  /** Whether the guest needs it. Without, as for a PCI hole, devices only lose the way to each other's BARs. */
  readonly required: boolean;
}

export interface CheckedWindow extends Window {
  readonly fits: boolean;
  /** It starts or ends off the alignment that mappings must have. */
  readonly misaligned: boolean;
  readonly conflicts: readonly Exclusion[];
}

export interface CheckedLayout {
  /** Whether every required window fits. */
  readonly fits: boolean;
  readonly windows: readonly CheckedWindow[];
}

/** Counts what an answer is to have, and throws when it is too much. */
export type Spend = (exclusion: Exclusion) => void;

/**
 * Checks the windows against a plan; they may overlap each other. `exclusionsOf` is one of the plan's two ways to tell
 * what it excludes. A budget is told of every exclusion, and another of every conflict, and either may throw: many windows
 * over the same exclusions have many.
 */
export function* checkLayout(
  plan: Plan,
  windows: readonly Window[],
  exclusionsOf: (plan: Plan, within: RangeSet) => Iterable<Exclusion | undefined>,
  budget: () => Spend,
): Steps<CheckedLayout> {
  const colliding = windows.filter((window) => !plan.ranges.covers(window));
  const collect = budget();
  const excluded: Exclusion[] = [];
  for (const exclusion of exclusionsOf(plan, RangeSet.from(colliding))) {
    if (exclusion === undefined) {
      yield;
      continue;
    }
    collect(exclusion);
    excluded.push(exclusion);
  }
  const spend = budget();
  const checked: CheckedWindow[] = [];
  for (const window of windows) {
    const misaligned = plan.alignment !== null && !isAligned(window, plan.alignment);
    const conflicts = plan.ranges.covers(window) ? [] : yield* conflictsOf(window, excluded, spend);
    checked.push({ ...window, fits: !misaligned && conflicts.length === 0, misaligned, conflicts });
    if (checked.length % STEP === 0) yield;
  }
  return { fits: checked.every(({ fits, required }) => fits || !required), windows: checked };
}

/** Whether devices can reach all of the window. */
export function windowFits({ ranges, alignment }: Plan, window: Window): boolean {
  return ranges.covers(window) && (alignment === null || isAligned(window, alignment));
}

/** Whether they can reach all that the guest needs. */
export function requiredFit(plan: Plan, windows: readonly Window[]): boolean {
  return windows.every((window) => !window.required || windowFits(plan, window));
}

/** Whether the window starts and ends on multiples of `alignment`, in bytes. */
export function isAligned(window: Range, alignment: bigint): boolean {
  const aligned = alignRangeInwards(window, alignment);
  return aligned !== null && aligned.start === window.start && aligned.last === window.last;
}

/** `excluded` is ascending and disjoint. */
function* conflictsOf(
  { start, last }: Range,
  excluded: readonly Exclusion[],
  spend: Spend,
): Steps<Exclusion[]> {
  const conflicts: Exclusion[] = [];
  for (let i = firstReaching(excluded, start); i < excluded.length; i++) {
    const exclusion = excluded[i] as Exclusion;
    if (exclusion.start > last) break;
    if (conflicts.length % STEP === STEP - 1) yield;
    spend(exclusion);
    conflicts.push({
      start: exclusion.start > start ? exclusion.start : start,
      last: exclusion.last < last ? exclusion.last : last,
      causes: exclusion.causes,
    });
  }
  return conflicts;
}

/** The index of the first exclusion that ends at `address` or above it. */
function firstReaching(excluded: readonly Exclusion[], address: bigint): number {
  let low = 0;
  let high = excluded.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((excluded[middle] as Exclusion).last < address) low = middle + 1;
    else high = middle;
  }
  return low;
}
