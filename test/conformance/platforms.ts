/** [start, last] */
export type Pair = [start: bigint, last: bigint];

/** What a kernel does with the devices behind one kind of IOMMU: written down from the lab, not computed. */
export interface Platform {
  /** The IOMMU's name in sysfs. */
  readonly iommu: string;
  /** The highest address that an IO address space behind it has. */
  readonly apertureLast: bigint;
  /** The highest that the IOMMU takes, where its tables reach less far. */
  readonly unitLast?: bigint;
  /** What the daemon takes it for before a probe; null where the IOMMU does not tell. */
  readonly estimatedLast: bigint | null;
  /** The kernel's page, which is also the IOMMU's smallest, in bytes. */
  readonly pageSize: number;
  /** The lines of a device's `reserved_regions`. */
  readonly regions: readonly string[];
  /** What the ISA bridge has besides. */
  readonly bridgeRegions: readonly string[];
  /** What an IOAS with a device allows. */
  readonly allowed: readonly Pair[];
  /** The same after a replace, where that differs. */
  readonly allowedAfterReplace?: readonly Pair[];
  /** What it takes away, first of all the window of message-signalled interrupts. */
  readonly excluded: readonly [msi: Pair, ...Pair[]];
}

const U64_MAX = (1n << 64n) - 1n;
const MSI = "0x00000000fee00000 0x00000000feefffff msi";
const RELAXABLE = "0x0000000000000000 0x0000000000ffffff direct-relaxable";
const HYPERTRANSPORT = "0x000000fd00000000 0x000000ffffffffff reserved";

const VTD39: Platform = {
  iommu: "dmar0",
  apertureLast: 0x7fffffffffn,
  estimatedLast: 0x7fffffffffn,
  pageSize: 4096,
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

const VTD48: Platform = {
  ...VTD39,
  apertureLast: 0xffffffffffffn,
  estimatedLast: 0xffffffffffffn,
  allowed: [
    [0n, 0xfedfffffn],
    [0xfef00000n, 0xffffffffffffn],
  ],
  excluded: [
    [0xfee00000n, 0xfeefffffn],
    [0x1000000000000n, U64_MAX],
  ],
};

const AMD: Platform = {
  iommu: "ivhd0",
  apertureLast: U64_MAX,
  // As much as the firmware promises; this Linux does not ask.
  estimatedLast: 0xffffffffffffn,
  pageSize: 4096,
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
};

const VIRTIO: Platform = {
  iommu: "0000:00:04.0",
  apertureLast: U64_MAX,
  estimatedLast: null,
  pageSize: 4096,
  regions: [MSI],
  bridgeRegions: [],
  allowed: [
    [0n, 0xfedfffffn],
    [0xfef00000n, U64_MAX],
  ],
  excluded: [[0xfee00000n, 0xfeefffffn]],
};

const SMMU: Platform = {
  iommu: "smmu3.0x0000000009050000",
  apertureLast: 0xffffffffffffn,
  estimatedLast: null,
  pageSize: 4096,
  // The driver's own, into which the kernel maps the doorbell of the ITS.
  regions: ["0x0000000008000000 0x00000000080fffff msi"],
  bridgeRegions: [],
  allowed: [
    [0n, 0x7ffffffn],
    [0x8100000n, 0xffffffffffffn],
  ],
  excluded: [
    [0x8000000n, 0x80fffffn],
    [0x1000000000000n, U64_MAX],
  ],
};

/** From Linux 7.x on the region is there only with CONFIG_BLK_DEV_FD, which the lab's kernels do without. */
const NO_RELAXABLE = { bridgeRegions: [] };

/** The lab's boots with an IOMMU and iommufd, by name. */
export const PLATFORMS: Readonly<Record<string, Platform>> = {
  vtd39: VTD39,
  vtd48: VTD48,
  resv: VTD39,
  sigkill: VTD39,
  amd: AMD,
  // Its driver tells a domain's aperture once a device is in it; a replace asks before (see late-aperture).
  virtio: { ...VIRTIO, allowedAfterReplace: [[0n, 0n]] },
  smmu: SMMU,
  // Imitated only: QEMU's SMMUv3 and Linux could do it, and nothing in it differs from the other two.
  "smmu-16k": { ...SMMU, pageSize: 16384 },
  "smmu-64k": { ...SMMU, pageSize: 65536 },
  "next-vtd39": { ...VTD39, ...NO_RELAXABLE },
  "next-vtd48": { ...VTD48, ...NO_RELAXABLE },
  // The lower half of 48 bits that are sign-extended.
  "next-vtd-first-stage": {
    ...VTD48,
    ...NO_RELAXABLE,
    apertureLast: 0x7fffffffffffn,
    unitLast: 0xffffffffffffn,
    estimatedLast: 0x7fffffffffffn,
    allowed: [
      [0n, 0xfedfffffn],
      [0xfef00000n, 0x7fffffffffffn],
    ],
    excluded: [
      [0xfee00000n, 0xfeefffffn],
      [0x800000000000n, U64_MAX],
    ],
  },
  "next-amd": {
    ...AMD,
    apertureLast: 0xffffffffffffn,
    allowed: [
      [0n, 0xfedfffffn],
      [0xfef00000n, 0xfcffffffffn],
      [0x10000000000n, 0xffffffffffffn],
    ],
    excluded: [
      [0xfee00000n, 0xfeefffffn],
      [0xfd00000000n, 0xffffffffffn],
      [0x1000000000000n, U64_MAX],
    ],
  },
  "next-virtio": VIRTIO,
  "next-smmu": SMMU,
  "next-smmu-64k": { ...SMMU, pageSize: 65536 },
};

/** Which of them this run is about: the guest's, or the one that the simulated kernel imitates. */
export const PLATFORM_NAME = process.env.IOVAD_LAB_BOOT ?? "vtd39";

/** @throws Error for a boot that the table does not know */
export function currentPlatform(): Platform {
  const platform = PLATFORMS[PLATFORM_NAME];
  if (!platform) throw new Error(`test/conformance/platforms.ts does not know the boot ${PLATFORM_NAME}`);
  return platform;
}
