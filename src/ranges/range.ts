import { formatAddress, U64_MAX } from "./address.ts";

/**
 * The addresses from `start` to `last`, both included, so that a range can reach the top of the address space
 * and is never empty. The layout of the kernel's `struct iommu_iova_range` (include/uapi/linux/iommufd.h).
 */
export interface Range {
  readonly start: bigint;
  readonly last: bigint;
}

/** The whole address space. */
export const FULL: Range = Object.freeze({ start: 0n, last: U64_MAX });

/** @throws RangeError when `start` is above `last`, or either is not a u64 */
export function assertRange(range: Range): void {
  const { start, last } = range;
  if (start < 0n || last > U64_MAX) throw new RangeError(`${formatRange(range)} is not within 64 bits`);
  if (start > last) throw new RangeError(`${formatRange(range)} starts above its last address`);
}

/** `[0x0, 0xfff]`, for messages and logs. */
export function formatRange({ start, last }: Range): string {
  return `[${formatAddress(start)}, ${formatAddress(last)}]`;
}
