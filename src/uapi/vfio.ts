import { s32, struct, u16, u32, u64 } from "./struct.ts";

/** `include/uapi/linux/vfio.h`: numbers and layouts, by their names there. Every number is `_IO(';', 100 + n)`. */
export const VFIO_IOCTLS = {
  VFIO_GET_API_VERSION: 0x3b64,
  VFIO_CHECK_EXTENSION: 0x3b65,
  /** Takes the IOMMU type itself as argument, not a pointer to it. */
  VFIO_SET_IOMMU: 0x3b66,
  VFIO_GROUP_GET_STATUS: 0x3b67,
  /** Takes a pointer to the container's descriptor, s32. */
  VFIO_GROUP_SET_CONTAINER: 0x3b68,
  VFIO_DEVICE_GET_INFO: 0x3b6b,
  VFIO_DEVICE_SET_IRQS: 0x3b6e,
  VFIO_IOMMU_GET_INFO: 0x3b70,
  VFIO_DEVICE_BIND_IOMMUFD: 0x3b76,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT: 0x3b77,
  VFIO_DEVICE_DETACH_IOMMUFD_PT: 0x3b78,
} as const;

export const {
  VFIO_GET_API_VERSION,
  VFIO_CHECK_EXTENSION,
  VFIO_SET_IOMMU,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_DEVICE_GET_INFO,
  VFIO_DEVICE_SET_IRQS,
  VFIO_IOMMU_GET_INFO,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
} = VFIO_IOCTLS;

/** Values of `vfio_device_info.flags`. */
export const VFIO_DEVICE_FLAGS_RESET = 1;
export const VFIO_DEVICE_FLAGS_PCI = 2;
export const VFIO_DEVICE_FLAGS_PLATFORM = 4;

export const vfio_device_info = struct("vfio_device_info", 24, {
  argsz: u32(0),
  flags: u32(4),
  num_regions: u32(8),
  num_irqs: u32(12),
  cap_offset: u32(16),
  pad: u32(20),
});

/** As of 6.6. Newer kernels have a token behind it and take this size, with flags 0, as before. */
export const vfio_device_bind_iommufd = struct("vfio_device_bind_iommufd", 16, {
  argsz: u32(0),
  flags: u32(4),
  iommufd: s32(8),
  /** The device's id among the objects of the iommufd. */
  out_devid: u32(12),
});

/** As of 6.6. Newer kernels have a PASID behind it and take this size, with flags 0, as before. */
export const vfio_device_attach_iommufd_pt = struct("vfio_device_attach_iommufd_pt", 12, {
  argsz: u32(0),
  flags: u32(4),
  /** In: an IOAS or a hwpt. Out: the hwpt in use, also when an IOAS was given. */
  pt_id: u32(8),
});

/** As of 6.6. Newer kernels have a PASID behind it and take this size, with flags 0, as before. */
export const vfio_device_detach_iommufd_pt = struct("vfio_device_detach_iommufd_pt", 8, {
  argsz: u32(0),
  flags: u32(4),
});

/** Values of `vfio_irq_set.flags` and, for PCI, `.index`: the interrupt that asks for the device back. */
export const VFIO_IRQ_SET_DATA_NONE = 1;
export const VFIO_IRQ_SET_DATA_BOOL = 2;
export const VFIO_IRQ_SET_DATA_EVENTFD = 4;
export const VFIO_IRQ_SET_ACTION_TRIGGER = 32;
export const VFIO_PCI_REQ_IRQ_INDEX = 4;

/** Followed by `count` elements of data, e.g. eventfds, s32; `argsz` counts them in. */
export const vfio_irq_set = struct("vfio_irq_set", 20, {
  argsz: u32(0),
  flags: u32(4),
  index: u32(8),
  start: u32(12),
  count: u32(16),
});

/** Legacy containers: the argument of VFIO_SET_IOMMU. */
export const VFIO_TYPE1v2_IOMMU = 3;

/** Values of `vfio_group_status.flags`. */
export const VFIO_GROUP_FLAGS_VIABLE = 1;
export const VFIO_GROUP_FLAGS_CONTAINER_SET = 2;

export const vfio_group_status = struct("vfio_group_status", 8, { argsz: u32(0), flags: u32(4) });

/** Values of `vfio_iommu_type1_info.flags`. */
export const VFIO_IOMMU_INFO_PGSIZES = 1;
export const VFIO_IOMMU_INFO_CAPS = 2;

/** Comes back with a larger `argsz` when its capabilities did not fit. */
export const vfio_iommu_type1_info = struct("vfio_iommu_type1_info", 24, {
  argsz: u32(0),
  flags: u32(4),
  /** Bitmap of page sizes. */
  iova_pgsizes: u64(8),
  /** Bytes from the start of this struct to the first capability. */
  cap_offset: u32(16),
  pad: u32(20),
});

export const vfio_info_cap_header = struct("vfio_info_cap_header", 8, {
  id: u16(0),
  version: u16(2),
  /** Bytes from the start of the info struct to the next capability; 0 ends the chain. */
  next: u32(4),
});

/** The capability's id in its header. */
export const VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE = 1;

/** Begins with a `vfio_info_cap_header`; `nr_iovas` times `vfio_iova_range` follow. */
export const vfio_iommu_type1_info_cap_iova_range = struct("vfio_iommu_type1_info_cap_iova_range", 16, {
  nr_iovas: u32(8),
  reserved: u32(12),
});

/** Bytes `start` to `end`; `end`, in the header's word, is inclusive. */
export const vfio_iova_range = struct("vfio_iova_range", 16, { start: u64(0), end: u64(8) });

/** Every layout of the header that stands here. */
export const VFIO_STRUCTS = [
  vfio_device_info,
  vfio_device_bind_iommufd,
  vfio_device_attach_iommufd_pt,
  vfio_device_detach_iommufd_pt,
  vfio_irq_set,
  vfio_group_status,
  vfio_iommu_type1_info,
  vfio_info_cap_header,
  vfio_iommu_type1_info_cap_iova_range,
  vfio_iova_range,
];
