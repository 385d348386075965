import type { Exclusion } from "../../attribution/attribution.ts";
import { limitExceeded } from "../../host/errors.ts";

/** How many ranges all lists of a request may have together. */
const RANGE_LIMIT = 65_536;
/** How many causes an answer may name: some 7 MB of JSON. */
const CAUSE_LIMIT = 100_000;

/** @throws HostError LimitExceeded; `member` is the one of the params that has the lists */
export function refuseTooManyRanges(member: string, lists: readonly (readonly unknown[])[]): void {
  let count = 0;
  for (const list of lists) count += list.length;
  if (count <= RANGE_LIMIT) return;
  throw limitExceeded("max-ranges", `${member}: ${count} ranges in all, and ${RANGE_LIMIT} are the most`);
}

/** Counts the causes of one answer. What it returns throws HostError LimitExceeded when there are too many. */
export function causeBudget(): (exclusion: Exclusion) => void {
  let left = CAUSE_LIMIT;
  return ({ causes }) => {
    left -= causes.length;
    if (left >= 0) return;
    throw limitExceeded(
      "max-causes",
      `the answer would name more than ${CAUSE_LIMIT} causes; ask about fewer devices, or about part of the address space with explain-range`,
    );
  };
}
