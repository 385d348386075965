import type { Exclusion } from "../../attribution/attribution.ts";
import type { Call } from "../method.ts";

/** How many ranges of one answer get a hint. */
export const HINT_LIMIT = 64;

/**
 * Of the exclusions that nothing known accounts for: what else the kernel shows there. The host is looked at only when
 * there are any.
 */
export async function hintsFor(
  exclusions: readonly Exclusion[],
  { host, slice }: Call,
): Promise<ReadonlyMap<Exclusion, string>> {
  const unaccounted = await slice.filter(exclusions, isUnaccounted);
  const hints = new Map<Exclusion, string>();
  if (unaccounted.length === 0) return hints;
  const map = await host.physicalMap(slice);
  for (const exclusion of unaccounted.slice(0, HINT_LIMIT)) {
    const hint = map.hintFor(exclusion);
    if (hint !== undefined) hints.set(exclusion, hint);
    if (slice.isOver) await slice.pass();
  }
  return hints;
}

/** Whether a cause is only that the kernel excludes it. */
export function isUnaccounted({ causes }: Exclusion): boolean {
  return causes.some(({ kind }) => kind === "reserved-elsewhere");
}
