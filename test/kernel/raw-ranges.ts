import type { Kernel } from "../../src/kernel/kernel.ts";
import type { Range } from "../../src/ranges/range.ts";
import { outcome } from "../conformance/session.ts";

/**
 * IOMMU_IOAS_IOVA_RANGES with room for `capacity` ranges: a second reader, independent of src/uapi and of Iommufd.
 * Number and offsets are from include/uapi/linux/iommufd.h. `count` is how many there are; `ranges` are those that
 * the kernel has written.
 */
export async function readRanges(kernel: Kernel, iommufd: number, ioas: number, capacity: number) {
  const argument = Buffer.alloc(32);
  argument.writeUInt32LE(32, 0);
  argument.writeUInt32LE(ioas, 4);
  argument.writeUInt32LE(capacity, 8);
  // One range more than there is room for, to see that the kernel leaves it alone.
  const target = Buffer.alloc(16 * (capacity + 1), 0xa5);
  const code = await outcome(() => kernel.ioctl(iommufd, 0x3b84, argument, { offset: 16, target }));
  const ranges: Range[] = [];
  for (let at = 0; at < target.length; at += 16) {
    const range = { start: target.readBigUInt64LE(at), last: target.readBigUInt64LE(at + 8) };
    if (range.start === UNTOUCHED && range.last === UNTOUCHED) break;
    ranges.push(range);
  }
  return { code, count: argument.readUInt32LE(8), ranges, alignment: argument.readBigUInt64LE(24) };
}

const UNTOUCHED = 0xa5a5_a5a5_a5a5_a5a5n;
