import {
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE,
  vfio_info_cap_header,
  vfio_iommu_type1_info,
  vfio_iommu_type1_info_cap_iova_range,
  vfio_iova_range,
} from "./vfio.ts";

/** Bytes `start` to `last`, inclusive. */
interface IovaRange {
  readonly start: bigint;
  readonly last: bigint;
}

/**
 * The ranges that a type1 IOMMU's answer to VFIO_IOMMU_GET_INFO allows. `info` is the struct with everything behind it.
 * Undefined when it has no such capability (Linux before 5.4), or one that cannot be read whole: half a list would
 * pass for the truth. Whatever the offsets say, nothing outside `info` is read, and the walk ends.
 */
export function iovaRangesOf(info: Uint8Array): IovaRange[] | undefined {
  const { flags, cap_offset } = vfio_iommu_type1_info.decode(info);
  if ((flags & VFIO_IOMMU_INFO_CAPS) === 0) return undefined;
  // Every capability has a header of its own, so a chain that is longer goes in circles.
  let left = Math.floor(info.length / vfio_info_cap_header.size);
  for (let offset = cap_offset; offset !== 0 && left > 0; left--) {
    if (offset < vfio_iommu_type1_info.size || offset + vfio_info_cap_header.size > info.length)
      return undefined;
    const capability = info.subarray(offset);
    const { id, version, next } = vfio_info_cap_header.decode(capability);
    if (id === VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE && version === 1) return rangesIn(capability);
    offset = next;
  }
  return undefined;
}

function rangesIn(capability: Uint8Array): IovaRange[] | undefined {
  const { size } = vfio_iommu_type1_info_cap_iova_range;
  if (capability.length < size) return undefined;
  const { nr_iovas } = vfio_iommu_type1_info_cap_iova_range.decode(capability);
  if (nr_iovas * vfio_iova_range.size > capability.length - size) return undefined;
  const ranges = vfio_iova_range.decodeArray(capability.subarray(size), nr_iovas);
  if (ranges.some(({ start, end }) => start > end)) return undefined;
  return ranges.map(({ start, end }) => ({ start, last: end }));
}
