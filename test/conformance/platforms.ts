/** [start, last] */
export type Pair = [start: bigint, last: bigint];

/** What the kernel does with the devices behind one kind of IOMMU: written down from Linux 6.12 in the lab, not computed. */
export interface Platform {
  /** The IOMMU's name in sysfs. */
  readonly iommu: string;
  /** The highest address that it translates. */
  readonly apertureLast: bigint;
  /** The lines of a device's `reserved_regions`. */
  readonly regions: readonly string[];
  /** What the ISA bridge has besides. */
  readonly bridgeRegions: readonly string[];
  /** What an IOAS with a device allows. */
  readonly allowed: readonly Pair[];
  /** The same after a replace, where that differs. */
  readonly allowedAfterReplace?: readonly Pair[];
  /** What it takes away. */
  readonly excluded: readonly Pair[];
}

const U64_MAX = (1n << 64n) - 1n;
const MSI = "0x00000000fee00000 0x00000000feefffff msi";
const RELAXABLE = "0x0000000000000000 0x0000000000ffffff direct-relaxable";
const HYPERTRANSPORT = "0x000000fd00000000 0x000000ffffffffff reserved";

const VTD39: Platform = {
  iommu: "dmar0",
  apertureLast: 0x7fffffffffn,
  regions: [MSI],
  bridgeRegions: [RELAXABLE],
  allowed: [
    [0n, 0xfedfffffn],
    [0xfef00000n, 0x7fffffffffn],
  ],
  excluded: [
    [0xfee00000n, 0xfeefffffn],
    [0x8000000000n, U64_MAX],
  ],
};

/** The lab's boots with an IOMMU and iommufd, by name. */
export const PLATFORMS: Readonly<Record<string, Platform>> = {
  vtd39: VTD39,
  resv: VTD39,
  vtd48: {
    iommu: "dmar0",
    apertureLast: 0xffffffffffffn,
    regions: [MSI],
    bridgeRegions: [RELAXABLE],
    allowed: [
      [0n, 0xfedfffffn],
      [0xfef00000n, 0xffffffffffffn],
    ],
    excluded: [
      [0xfee00000n, 0xfeefffffn],
      [0x1000000000000n, U64_MAX],
    ],
  },
  amd: {
    iommu: "ivhd0",
    apertureLast: U64_MAX,
    regions: [MSI, HYPERTRANSPORT],
    bridgeRegions: [],
    allowed: [
      [0n, 0xfedfffffn],
      [0xfef00000n, 0xfcffffffffn],
      [0x10000000000n, U64_MAX],
    ],
    excluded: [
      [0xfee00000n, 0xfeefffffn],
      [0xfd00000000n, 0xffffffffffn],
    ],
  },
  virtio: {
    iommu: "0000:00:04.0",
    apertureLast: U64_MAX,
    regions: [MSI],
    bridgeRegions: [],
    allowed: [
      [0n, 0xfedfffffn],
      [0xfef00000n, U64_MAX],
    ],
    // Its driver tells a domain's aperture once a device is in it; a replace asks before (see late-aperture).
    allowedAfterReplace: [[0n, 0n]],
    excluded: [[0xfee00000n, 0xfeefffffn]],
  },
};

/** Which of them this run is about: the guest's, or the one that the simulated kernel imitates. */
export const PLATFORM_NAME = process.env.IOVAD_LAB_BOOT ?? "vtd39";

/** @throws Error for a boot that the table does not know */
export function currentPlatform(): Platform {
  const platform = PLATFORMS[PLATFORM_NAME];
  if (!platform) throw new Error(`test/conformance/platforms.ts does not know the boot ${PLATFORM_NAME}`);
  return platform;
}
