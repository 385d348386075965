/** `start` to `last`, inclusive. */
export interface Interval {
  readonly start: bigint;
  readonly last: bigint;
}

/**
 * The first of `list` that intersects `start` to `last`, or undefined. `list` is ascending and disjoint, as the
 * kernel's trees of mappings and of allowed ranges are.
 */
export function firstIntersecting<T extends Interval>(
  list: readonly T[],
  { start, last }: Interval,
): T | undefined {
  const candidate = list[lowerBound(list, start)];
  return candidate !== undefined && candidate.start <= last ? candidate : undefined;
}

/** Inserts into an ascending, disjoint list, which `interval` does not intersect. */
export function insert<T extends Interval>(list: T[], interval: T): void {
  list.splice(lowerBound(list, interval.start), 0, interval);
}

/**
 * What the intervals cover, ascending, with overlapping and adjacent ones as one: the used spans of
 * `lib/interval_tree.c: interval_tree_span_iter_next`.
 */
export function coalesce(intervals: readonly Interval[]): Interval[] {
  const sorted = intervals.toSorted((a, b) => (a.start < b.start ? -1 : a.start > b.start ? 1 : 0));
  const spans: { start: bigint; last: bigint }[] = [];
  for (const { start, last } of sorted) {
    const top = spans.at(-1);
    if (top === undefined || start > top.last + 1n) spans.push({ start, last });
    else if (last > top.last) top.last = last;
  }
  return spans;
}

/** What is left of `within` between the coalesced `spans`, ascending: the holes of the same iterator. */
export function holes(spans: readonly Interval[], within: Interval): Interval[] {
  const left: Interval[] = [];
  let start = within.start;
  for (let index = lowerBound(spans, within.start); index < spans.length; index++) {
    const span = spans[index];
    if (span === undefined || span.start > within.last) break;
    if (span.start > start) left.push({ start, last: span.start - 1n });
    start = span.last + 1n;
  }
  if (start <= within.last) left.push({ start, last: within.last });
  return left;
}

/** The index of the first interval of a disjoint, ascending list that does not end before `address`. */
function lowerBound(list: readonly Interval[], address: bigint): number {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((list[middle] as Interval).last < address) low = middle + 1;
    else high = middle;
  }
  return low;
}
