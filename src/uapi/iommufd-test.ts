import { struct, u32, u64 } from "./struct.ts";

/**
 * Of `drivers/iommu/iommufd/iommufd_test.h`, on kernels with CONFIG_IOMMUFD_TEST: the one operation of IOMMU_TEST_CMD
 * that puts a reserved range into an IOAS, as a device would.
 */
export const IOMMU_TEST_OP_ADD_RESERVED = 1;

/** The union's other forms are left out; `length` is in bytes. As of Linux 6.12. */
export const iommu_test_cmd = struct("iommu_test_cmd", 72, {
  size: u32(0),
  op: u32(4),
  /** The IOAS. */
  id: u32(8),
  __reserved: u32(12),
  start: u64(16),
  length: u64(24),
  last: u32(64),
});
