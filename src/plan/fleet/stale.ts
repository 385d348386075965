import type { Limit, Pool } from "./pool.ts";

/**
 * The hosts whose word no longer holds, and that change an answer by it: added, each alone, to those that are fresh.
 */
export function staleThat(changes: (limit: Limit) => boolean, pool: Pool): string[] {
  const named: string[] = [];
  for (const limit of pool.limits) {
    const stale = limit.hosts.filter(({ state }) => state === "stale");
    if (stale.length > 0 && changes(limit)) named.push(...stale.map(({ host }) => host));
  }
  return named.sort();
}
