/** A reserved region of one device: bytes `start` to `last`, inclusive. */
export interface TopologyRegion {
  readonly start: bigint;
  readonly last: bigint;
  /** As Linux prints it in `reserved_regions`: direct, direct-relaxable, reserved, msi, or a word of another kernel. */
  readonly type: string;
}

/** An IOMMU: what it can translate (inclusive) and its smallest page, in bytes. */
export interface TopologyIommu {
  readonly name: string;
  readonly aperture: { readonly start: bigint; readonly last: bigint };
  readonly pageSize: number;
  /** Its driver tells a domain's aperture only once a device is in it: virtio-iommu in 6.12. See Hwpt. */
  readonly lateAperture: boolean;
}

/** How long the calls take that wait for hardware, in milliseconds. */
export interface Latency {
  readonly bind: number;
  readonly attach: number;
  readonly detach: number;
  readonly close: number;
}

/** What a PCI device shows of itself, in sysfs's words: "0x8086". */
export interface TopologyPci {
  readonly vendor: string;
  readonly device: string;
  readonly class: string;
  readonly subsystemVendor: string;
  readonly subsystemDevice: string;
}

export interface TopologyDevice {
  readonly device: string;
  /** Null, like `group`, for a device that no IOMMU translates for. */
  readonly iommu: string | null;
  readonly group: number | null;
  readonly driver: string | null;
  readonly regions: readonly TopologyRegion[];
  /** The group's `reserved_regions` was cut when these regions were read from it: sysfs is to show that again. */
  readonly isTruncated: boolean;
  readonly coherent: boolean;
  readonly isolatedMsi: boolean;
  readonly latency: Latency;
  /** Null: it shows nothing of itself. */
  readonly pci: TopologyPci | null;
  /** Null: the firmware does not tell. */
  readonly numaNode: number | null;
}

/** A simulated host. */
export interface Topology {
  readonly kernel: {
    readonly release: string;
    /** PAGE_SIZE, in bytes. */
    readonly pageSize: number;
    readonly iommufd: boolean;
    readonly vfioCdev: boolean;
    readonly resvIovaRanges: boolean;
    /** CONFIG_IOMMUFD_TEST */
    readonly iommufdTest: boolean;
  };
  readonly iommus: readonly TopologyIommu[];
  readonly devices: readonly TopologyDevice[];
  /** What else is to be read in /proc and /sys: texts by absolute path. */
  readonly files: ReadonlyMap<string, string>;
}
