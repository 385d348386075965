import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  VFIO_IOMMU_INFO_CAPS,
  vfio_info_cap_header,
  vfio_iommu_type1_info,
  vfio_iommu_type1_info_cap_iova_range,
  vfio_iova_range,
} from "../../src/uapi/vfio.ts";
import { iovaRangesOf } from "../../src/uapi/vfio-capabilities.ts";
import { runs } from "../runs.ts";

interface Capability {
  readonly id: number;
  readonly version: number;
  readonly body: Buffer;
}

type Pair = readonly [start: bigint, end: bigint];

function iovaRange(pairs: readonly Pair[], count = pairs.length): Capability {
  const ranges = pairs.map(([start, end]) => ({ start, end }));
  const { size } = vfio_iommu_type1_info_cap_iova_range;
  const whole = vfio_iommu_type1_info_cap_iova_range.encode({ nr_iovas: count });
  const body = Buffer.concat([
    whole.subarray(vfio_info_cap_header.size, size),
    vfio_iova_range.encodeArray(ranges),
  ]);
  return { id: 1, version: 1, body };
}

/** An answer with these capabilities, chained in the order in which they stand. */
function infoWith(...capabilities: readonly Capability[]): Buffer {
  let offset = vfio_iommu_type1_info.size;
  const parts = capabilities.map(({ id, version, body }, index) => {
    const next = offset + vfio_info_cap_header.size + body.length;
    offset = next;
    const isLast = index === capabilities.length - 1;
    return Buffer.concat([vfio_info_cap_header.encode({ id, version, next: isLast ? 0 : next }), body]);
  });
  const head = vfio_iommu_type1_info.encode({
    argsz: offset,
    flags: VFIO_IOMMU_INFO_CAPS,
    cap_offset: parts.length > 0 ? vfio_iommu_type1_info.size : 0,
  });
  return Buffer.concat([head, ...parts]);
}

const MIGRATION: Capability = { id: 2, version: 1, body: Buffer.alloc(24, 0xff) };
const VTD: readonly Pair[] = [
  [0n, 0xfedfffffn],
  [0xfef00000n, 0x7fffffffffn],
];

describe("the ranges of a type1 answer", () => {
  it("stand in the capability of that kind, wherever it is in the chain", () => {
    const expected = VTD.map(([start, last]) => ({ start, last }));
    expect(iovaRangesOf(infoWith(iovaRange(VTD)))).toEqual(expected);
    expect(iovaRangesOf(infoWith(MIGRATION, iovaRange(VTD)))).toEqual(expected);
    expect(iovaRangesOf(infoWith(MIGRATION, iovaRange(VTD), MIGRATION))).toEqual(expected);
  });

  it("are none at all when the list is empty", () => {
    expect(iovaRangesOf(infoWith(iovaRange([])))).toEqual([]);
  });

  it("are not told without the capability, in another version of it, or without the flag", () => {
    expect(iovaRangesOf(infoWith())).toBeUndefined();
    expect(iovaRangesOf(infoWith(MIGRATION))).toBeUndefined();
    expect(iovaRangesOf(infoWith({ ...iovaRange(VTD), version: 2 }))).toBeUndefined();
    const unflagged = infoWith(iovaRange(VTD));
    unflagged.writeUInt32LE(0, vfio_iommu_type1_info.fields.flags.offset);
    expect(iovaRangesOf(unflagged)).toBeUndefined();
  });

  it("are not told when the list is longer than the answer, or upside down", () => {
    expect(iovaRangesOf(infoWith(iovaRange(VTD, 3)))).toBeUndefined();
    expect(iovaRangesOf(infoWith(iovaRange(VTD, 0xffffffff)))).toBeUndefined();
    expect(iovaRangesOf(infoWith(iovaRange([[1n, 0n]])))).toBeUndefined();
    expect(iovaRangesOf(infoWith({ id: 1, version: 1, body: Buffer.alloc(0) }))).toBeUndefined();
  });

  it("are not told by a chain that goes in circles, or out of the answer", () => {
    const next = vfio_iommu_type1_info.size + vfio_info_cap_header.fields.next.offset;
    for (const target of [24, 8, 1, 23, 57, 0xffffffff]) {
      const info = infoWith(MIGRATION, iovaRange(VTD));
      info.writeUInt32LE(target, next);
      expect(iovaRangesOf(info)).toBeUndefined();
    }
  });

  it("never come from outside the answer, whatever its bytes", () => {
    const bytes = fc.uint8Array({ minLength: vfio_iommu_type1_info.size, maxLength: 200 });
    const offset = fc.nat(220);
    fc.assert(
      fc.property(bytes, offset, offset, (random, first, next) => {
        const info = Buffer.from(random);
        info.writeUInt32LE(VFIO_IOMMU_INFO_CAPS, vfio_iommu_type1_info.fields.flags.offset);
        info.writeUInt32LE(first, vfio_iommu_type1_info.fields.cap_offset.offset);
        if (first + 8 <= info.length)
          vfio_info_cap_header.encode({ id: 1, version: 1, next }).copy(info, first);
        const ranges = iovaRangesOf(info);
        for (const { start, last } of ranges ?? []) {
          expect(start <= last).toBe(true);
          expect(info.includes(vfio_iova_range.encode({ start, end: last }))).toBe(true);
        }
      }),
      { numRuns: runs(670, 4_020) },
    );
  });
});
