import { struct, u32, u64 } from "./struct.ts";

/**
 * Argument of the proposed IOMMU_RESV_IOVA_RANGES (patch of July 2023, in no release): the reserved ranges of one
 * bound device, as the IOMMU driver lists them. The patch took the number 0x3b8b, which starts dirty tracking on
 * mainline since 6.7, so the number is a matter of configuration and has no constant. Elements are
 * `iommu_resv_iova_range {start, last}`, the layout of `iommu_iova_range`.
 */
export const iommu_resv_iova_ranges = struct("iommu_resv_iova_ranges", 24, {
  size: u32(0),
  /** The id that BIND returned. */
  dev_id: u32(4),
  /** In: room in `resv_iovas`, in elements. Out: how many there are, also when that is more. */
  num_iovas: u32(8),
  __reserved: u32(12),
  /** Pointer to the elements. */
  resv_iovas: u64(16),
});
