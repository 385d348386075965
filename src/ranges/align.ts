import { formatAddress, U64_MAX } from "./address.ts";
import type { Range } from "./range.ts";

/** @throws RangeError unless `alignment` is a power of two from 1 to 2^63 */
export function assertAlignment(alignment: bigint): void {
  if (alignment < 1n || alignment > U64_MAX || (alignment & (alignment - 1n)) !== 0n) {
    throw new RangeError(`alignment ${formatAddress(alignment)} is not a power of two within 64 bits`);
  }
}

/** The first aligned address at or above `address`; null when there is none below 2^64. */
export function alignUp(address: bigint, alignment: bigint): bigint | null {
  const mask = alignment - 1n;
  if ((address & mask) === 0n) return address;
  const blockLast = address | mask;
  return blockLast === U64_MAX ? null : blockLast + 1n;
}

/** The last aligned address at or below `address`. */
export function alignDown(address: bigint, alignment: bigint): bigint {
  return address - (address & (alignment - 1n));
}

/** The aligned blocks that lie wholly inside `range`, as one range; null when there is none. */
export function alignRangeInwards({ start, last }: Range, alignment: bigint): Range | null {
  const alignedStart = alignUp(start, alignment);
  // Adding to an inclusive last would leave 64 bits at the top, so look at its block: when `last` does not
  // complete the block, what remains stops right below it.
  const blockStart = alignDown(last, alignment);
  const alignedLast = last - blockStart === alignment - 1n ? last : blockStart - 1n;
  return alignedStart === null || alignedStart > alignedLast
    ? null
    : { start: alignedStart, last: alignedLast };
}
