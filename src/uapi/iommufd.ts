import { s32, struct, u8, u16, u32, u64 } from "./struct.ts";

/**
 * `include/uapi/linux/iommufd.h`: numbers and layouts, by their names there. Every number is `_IO(';', 0x80 + n)`,
 * written out in the form of x86, arm64, riscv, s390 and loongarch, where _IO() sets no direction bits.
 */
export const IOMMUFD_IOCTLS = {
  IOMMU_DESTROY: 0x3b80,
  IOMMU_IOAS_ALLOC: 0x3b81,
  IOMMU_IOAS_ALLOW_IOVAS: 0x3b82,
  IOMMU_IOAS_COPY: 0x3b83,
  IOMMU_IOAS_IOVA_RANGES: 0x3b84,
  IOMMU_IOAS_MAP: 0x3b85,
  IOMMU_IOAS_UNMAP: 0x3b86,
  IOMMU_OPTION: 0x3b87,
  IOMMU_VFIO_IOAS: 0x3b88,
  IOMMU_HWPT_ALLOC: 0x3b89,
  IOMMU_GET_HW_INFO: 0x3b8a,
  IOMMU_HWPT_SET_DIRTY_TRACKING: 0x3b8b,
  IOMMU_HWPT_GET_DIRTY_BITMAP: 0x3b8c,
  IOMMU_HWPT_INVALIDATE: 0x3b8d,
  IOMMU_FAULT_QUEUE_ALLOC: 0x3b8e,
  IOMMU_IOAS_MAP_FILE: 0x3b8f,
  IOMMU_VIOMMU_ALLOC: 0x3b90,
  IOMMU_VDEVICE_ALLOC: 0x3b91,
  IOMMU_IOAS_CHANGE_PROCESS: 0x3b92,
  IOMMU_VEVENTQ_ALLOC: 0x3b93,
  IOMMU_HW_QUEUE_ALLOC: 0x3b94,
  /** Not in the uapi header: `drivers/iommu/iommufd/iommufd_test.h`, kernels with CONFIG_IOMMUFD_TEST. */
  IOMMU_TEST_CMD: 0x3ba0,
} as const;

export const {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION,
  IOMMU_TEST_CMD,
} = IOMMUFD_IOCTLS;

/** Every number that mainline has given a meaning; a number for a proposed ioctl must not be one of them. */
export const MAINLINE_IOMMUFD_IOCTLS: ReadonlySet<number> = new Set(Object.values(IOMMUFD_IOCTLS));

/** Argument of IOMMU_DESTROY. */
export const iommu_destroy = struct("iommu_destroy", 8, { size: u32(0), id: u32(4) });

export const iommu_ioas_alloc = struct("iommu_ioas_alloc", 12, {
  size: u32(0),
  flags: u32(4),
  out_ioas_id: u32(8),
});

/** Bytes `start` to `last`, inclusive. */
export const iommu_iova_range = struct("iommu_iova_range", 16, { start: u64(0), last: u64(8) });

export const iommu_ioas_iova_ranges = struct("iommu_ioas_iova_ranges", 32, {
  size: u32(0),
  ioas_id: u32(4),
  /** In: room in `allowed_iovas`, in elements. Out: how many there are, also when that is more. */
  num_iovas: u32(8),
  __reserved: u32(12),
  /** Pointer to `iommu_iova_range[num_iovas]`. */
  allowed_iovas: u64(16),
  out_iova_alignment: u64(24),
});

export const iommu_ioas_allow_iovas = struct("iommu_ioas_allow_iovas", 24, {
  size: u32(0),
  ioas_id: u32(4),
  num_iovas: u32(8),
  __reserved: u32(12),
  /** Pointer to `iommu_iova_range[num_iovas]`. */
  allowed_iovas: u64(16),
});

/** Values of `iommu_ioas_map.flags`. */
export const IOMMU_IOAS_MAP_FIXED_IOVA = 1;
export const IOMMU_IOAS_MAP_WRITEABLE = 2;
export const IOMMU_IOAS_MAP_READABLE = 4;

export const iommu_ioas_map = struct("iommu_ioas_map", 40, {
  size: u32(0),
  flags: u32(4),
  ioas_id: u32(8),
  __reserved: u32(12),
  /** Pointer to `length` bytes. */
  user_va: u64(16),
  length: u64(24),
  /** In: the address, with FIXED_IOVA. Out: the address. */
  iova: u64(32),
});

export const iommu_ioas_unmap = struct("iommu_ioas_unmap", 24, {
  size: u32(0),
  ioas_id: u32(4),
  iova: u64(8),
  /** Out: how many bytes were unmapped. */
  length: u64(16),
});

const iommu_ioas_copy = struct("iommu_ioas_copy", 40, {
  size: u32(0),
  flags: u32(4),
  dst_ioas_id: u32(8),
  src_ioas_id: u32(12),
  length: u64(16),
  dst_iova: u64(24),
  src_iova: u64(32),
});

const iommu_ioas_map_file = struct("iommu_ioas_map_file", 40, {
  size: u32(0),
  flags: u32(4),
  ioas_id: u32(8),
  fd: s32(12),
  start: u64(16),
  length: u64(24),
  iova: u64(32),
});

/** Values of `iommu_option.option_id` and `.op`. */
export const IOMMU_OPTION_RLIMIT_MODE = 0;
export const IOMMU_OPTION_HUGE_PAGES = 1;
export const IOMMU_OPTION_OP_SET = 0;
export const IOMMU_OPTION_OP_GET = 1;

export const iommu_option = struct("iommu_option", 24, {
  size: u32(0),
  option_id: u32(4),
  op: u16(8),
  __reserved: u16(10),
  /** The IOAS, for an option of one IOAS; else 0. */
  object_id: u32(12),
  val64: u64(16),
});

const iommu_vfio_ioas = struct("iommu_vfio_ioas", 12, {
  size: u32(0),
  ioas_id: u32(4),
  op: u16(8),
  __reserved: u16(10),
});

/** As of Linux 6.12; 6.7 ended after `data_uptr`. */
const iommu_hwpt_alloc = struct("iommu_hwpt_alloc", 48, {
  size: u32(0),
  flags: u32(4),
  dev_id: u32(8),
  pt_id: u32(12),
  out_hwpt_id: u32(16),
  __reserved: u32(20),
  data_type: u32(24),
  data_len: u32(28),
  data_uptr: u64(32),
  fault_id: u32(40),
  __reserved2: u32(44),
});

/** As of Linux 6.12; its `__reserved[3]` at 29 is left out. */
const iommu_hw_info = struct("iommu_hw_info", 40, {
  size: u32(0),
  flags: u32(4),
  dev_id: u32(8),
  data_len: u32(12),
  data_uptr: u64(16),
  out_data_type: u32(24),
  out_max_pasid_log2: u8(28),
  out_capabilities: u64(32),
});

const iommu_hwpt_set_dirty_tracking = struct("iommu_hwpt_set_dirty_tracking", 16, {
  size: u32(0),
  flags: u32(4),
  hwpt_id: u32(8),
  __reserved: u32(12),
});

const iommu_fault_alloc = struct("iommu_fault_alloc", 16, {
  size: u32(0),
  flags: u32(4),
  out_fault_id: u32(8),
  out_fault_fd: u32(12),
});

/** Every layout of the header that stands here. */
export const IOMMUFD_STRUCTS = [
  iommu_destroy,
  iommu_ioas_alloc,
  iommu_iova_range,
  iommu_ioas_iova_ranges,
  iommu_ioas_allow_iovas,
  iommu_ioas_map,
  iommu_ioas_unmap,
  iommu_ioas_copy,
  iommu_ioas_map_file,
  iommu_option,
  iommu_vfio_ioas,
  iommu_hwpt_alloc,
  iommu_hw_info,
  iommu_hwpt_set_dirty_tracking,
  iommu_fault_alloc,
];
