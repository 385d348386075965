import type { Exclusion } from "../../attribution/attribution.ts";
import type { FreeRangeRequest } from "../../ranges/find-free.ts";
import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { finish } from "../../ranges/steps.ts";
import { type CheckedLayout, checkLayout, isAligned, type Window, windowFits } from "../layout.ts";
import type { Machine } from "../machines.ts";
import { exclusions, type Plan } from "../plan.ts";
import { machineRemedies, physBitsRemedy, type Remedy } from "../remedies.ts";
import { type Limit, type Pool, poolPlan } from "./pool.ts";
import { staleThat } from "./stale.ts";

/** Of every answer about a pool: what it is worth. */
export interface Worth {
  readonly exact: boolean;
  readonly hint?: string;
  /** Hosts that have been silent for too long, and that changed the answer. */
  readonly stale: readonly string[];
  /** Hosts of which nothing is known, so that they are not in the answer. */
  readonly unreadable: readonly string[];
}

export interface CheckedPool extends CheckedLayout, Worth {
  readonly alignment: bigint | null;
  readonly remedies: readonly PoolRemedy[];
}

export type PoolRemedy =
  | Remedy
  | { readonly kind: "without-hosts"; readonly hosts: readonly string[]; readonly detail: string };

/** A guest that the hosts of a pool are to take. */
export interface Guest {
  readonly windows: readonly Window[];
  /** What the windows come from, when it can be changed. */
  readonly machine?: Machine | undefined;
}

/** Whether a guest can live on every host of the pool; as check-layout with all of them as `hosts`. */
export function checkPool(pool: Pool, { windows, machine }: Guest): CheckedPool {
  const plan = poolPlan(pool);
  const checked = finish(checkLayout(plan, windows, exclusions, () => () => {}));
  const named = checked.windows.map((window) => ({
    ...window,
    conflicts: window.conflicts.map((conflict) => withHosts(conflict, pool)),
  }));
  const base = freshPlan(pool, plan);
  return {
    fits: checked.fits,
    ...worthOf(plan, pool),
    stale: staleThat((limit) => windows.some((window) => narrows(base, window, limit)), pool),
    alignment: plan.alignment,
    windows: named,
    remedies: remediesFor(pool, plan, { fits: checked.fits, windows: named }, machine),
  };
}

/** What all hosts of the pool allow; as predict-allowed-ranges. */
export function predictPool(pool: Pool): Worth & { plan: Plan; excluded: Exclusion[] } {
  const plan = poolPlan(pool);
  const excluded: Exclusion[] = [];
  for (const exclusion of exclusions(plan)) {
    if (exclusion) excluded.push(withHosts(exclusion, pool));
  }
  const base = freshPlan(pool, plan);
  const changes = ({ allowed, alignment }: Limit) =>
    isStricter(alignment, base.alignment) || [...base.ranges].some((range) => !allowed.covers(range));
  return { plan, excluded, ...worthOf(plan, pool), stale: staleThat(changes, pool) };
}

/** One place for so many bytes on every host of the pool; as find-free-range. */
export function findInPool(
  pool: Pool,
  request: FreeRangeRequest,
  avoid: readonly Range[] = [],
): Worth & { range: Range | null } {
  const plan = poolPlan(pool);
  const base = freshPlan(pool, plan);
  const found = findFree(base, request, avoid);
  const changes = (limit: Limit) => {
    const ranges = base.ranges.intersect(limit.allowed);
    return findFree({ ranges, alignment: stricter(base, limit) }, request, avoid)?.start !== found?.start;
  };
  return { range: findFree(plan, request, avoid), ...worthOf(plan, pool), stale: staleThat(changes, pool) };
}

function findFree(
  { ranges, alignment }: Pick<Plan, "ranges" | "alignment">,
  request: FreeRangeRequest,
  avoid: readonly Range[],
): Range | null {
  const taken = RangeSet.from([...ranges.invert(), ...avoid]);
  const smallest = alignment ?? 1n;
  const { alignment: wanted = 1n } = request;
  const free = taken.invert().alignInwards(smallest);
  return free.findFree({ ...request, alignment: wanted > smallest ? wanted : smallest });
}

/** The plan of those whose word holds. */
function freshPlan(pool: Pool, plan: Plan): Plan {
  const fresh = pool.fresh();
  return fresh === pool ? plan : poolPlan(fresh);
}

export function worthOf(plan: Plan, pool: Pool): Omit<Worth, "stale"> {
  const { exact, hint } = plan;
  return { exact, ...(hint === undefined ? {} : { hint }), unreadable: pool.unreadable };
}

function withHosts(exclusion: Exclusion, pool: Pool): Exclusion {
  return { ...exclusion, causes: pool.causesOf(exclusion.causes) };
}

/** Whether a limit takes something of a window that the plan leaves it. */
function narrows({ ranges, alignment }: Plan, window: Window, limit: Limit): boolean {
  if (isStricter(limit.alignment, alignment) && !isAligned(window, limit.alignment as bigint)) {
    if (alignment === null || isAligned(window, alignment)) return true;
  }
  return [...ranges.cut(window)].some((range) => !limit.allowed.covers(range));
}

function isStricter(one: bigint | null, other: bigint | null): boolean {
  return one !== null && (other === null || one > other);
}

function stricter(a: { alignment: bigint | null }, b: { alignment: bigint | null }): bigint | null {
  return isStricter(a.alignment, b.alignment) ? a.alignment : b.alignment;
}

function remediesFor(
  pool: Pool,
  plan: Plan,
  { fits, windows }: CheckedLayout,
  machine: Machine | undefined,
): PoolRemedy[] {
  const remedies: PoolRemedy[] = [];
  if (!fits && machine) remedies.push(...finish(machineRemedies(machine, plan)));
  const physBits = machine && physBitsRemedy(machine, plan);
  if (physBits) remedies.push(physBits);
  if (fits) return remedies;
  const required = windows.filter((window) => window.required);
  const atFault = new Set(
    required.flatMap(({ conflicts }) =>
      conflicts.flatMap(({ causes }) => causes.map(({ host }) => `${host}`)),
    ),
  );
  // Of a pool of which the greater part is in the way not much would be left.
  if (atFault.size === 0 || 2 * atFault.size > pool.size) return remedies;
  const rest = poolPlan(pool.without(atFault));
  if (!required.every((window) => windowFits(rest, window))) return remedies;
  const hosts = [...atFault].sort();
  const some =
    hosts.length > 4 ? `${hosts.slice(0, 4).join(", ")} and ${hosts.length - 4} more` : hosts.join(", ");
  remedies.push({ kind: "without-hosts", hosts, detail: `leave out ${some}: all others can take it` });
  return remedies;
}
