import { formatAddress, U64_MAX } from "./address.ts";
import { alignDown, alignUp, assertAlignment } from "./align.ts";
import type { Range } from "./range.ts";

export interface FreeRangeRequest {
  /** Bytes, from 1 to 2^64: the latter asks for the whole address space. */
  readonly size: bigint;
  /** Of the first address: a power of two; 1 when left out. */
  readonly alignment?: bigint | undefined;
  /** The lowest address that the answer may contain. */
  readonly notBelow?: bigint | undefined;
  /** The highest address that the answer may contain. */
  readonly notAbove?: bigint | undefined;
  /** `"up"`, the default, finds the lowest place, `"down"` the highest. */
  readonly direction?: "up" | "down" | undefined;
}

/** What is searched: disjoint ranges in ascending order. */
interface Ranges {
  readonly size: number;
  at(index: number): Range;
  /** Of the first range that does not end below `address`; `size` when all do. */
  indexFrom(address: bigint): number;
}

/**
 * The lowest or the highest place of `size` bytes inside `set`, or null when there is none. Bounds that cross
 * leave no place.
 * @throws RangeError for a size, alignment or bound out of its limits
 */
export function findFree(set: Ranges, request: FreeRangeRequest): Range | null {
  const { size, alignment = 1n, notBelow = 0n, notAbove = U64_MAX, direction = "up" } = request;
  // A length less one is a u64 for every size, the whole address space included.
  const reach = size - 1n;
  if (reach < 0n || reach > U64_MAX) throw new RangeError(`size ${size} is not between 1 and 2^64`);
  assertAlignment(alignment);
  assertBound(notBelow);
  assertBound(notAbove);

  // The range found for notAbove may begin above it, and then has no room.
  const first = set.indexFrom(notBelow);
  const stop = Math.min(set.indexFrom(notAbove) + 1, set.size);
  for (let step = 0; step < stop - first; step++) {
    let { start, last } = set.at(direction === "up" ? first + step : stop - 1 - step);
    if (start < notBelow) start = notBelow;
    if (last > notAbove) last = notAbove;
    const lowest = alignUp(start, alignment);
    // Bounds that left nothing of the range have made this difference negative.
    if (lowest === null || last - lowest < reach) continue;
    // There is room above `lowest`, which is aligned: rounding down cannot fall below it.
    const chosen = direction === "up" ? lowest : alignDown(last - reach, alignment);
    return { start: chosen, last: chosen + reach };
  }
  return null;
}

function assertBound(address: bigint): void {
  if (address < 0n || address > U64_MAX) {
    throw new RangeError(`bound ${formatAddress(address)} is not within 64 bits`);
  }
}
