import { limitExceeded } from "../../host/errors.ts";
import type { LimitName, Limits } from "../../limits.ts";
import type { Spend } from "../../plan/layout.ts";

/**
 * `what` is said with its number, as in "hosts: 1025 hosts"; `advice` is how to do with less.
 * @throws HostError LimitExceeded
 */
export function refuseMoreThan(
  limits: Limits,
  limit: LimitName,
  count: number,
  what: string,
  advice: string,
): void {
  if (count <= limits[limit]) return;
  throw limitExceeded(limit, `${what}, and ${limits[limit]} are the most (${limit}); ${advice}`);
}

/** @throws HostError LimitExceeded; `member` is the one of the params that has the lists */
export function refuseTooManyRanges(
  limits: Limits,
  member: string,
  lists: readonly (readonly unknown[])[],
  advice: string,
): void {
  let count = 0;
  for (const list of lists) count += list.length;
  refuseMoreThan(limits, "max-ranges", count, `${member}: ${count} ranges in all`, advice);
}

/**
 * Counts the causes of one answer. What it returns throws HostError LimitExceeded when there are too many; `advice`
 * is how to ask for fewer.
 */
export function causeBudget(limits: Limits, advice: string): Spend {
  const most = limits["max-causes"];
  let left = most;
  return ({ causes }) => {
    left -= causes.length;
    if (left >= 0) return;
    throw limitExceeded(
      "max-causes",
      `the answer would name more than ${most} causes (max-causes); ${advice}`,
    );
  };
}

/** As {@link causeBudget}, for conflicts without causes. */
export function conflictBudget(limits: Limits, advice: string): Spend {
  const most = limits["max-ranges"];
  let left = most;
  return () => {
    if (--left >= 0) return;
    throw limitExceeded(
      "max-ranges",
      `the answer would have more than ${most} conflicts (max-ranges); ${advice}`,
    );
  };
}
