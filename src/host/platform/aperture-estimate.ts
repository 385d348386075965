import { FULL, type Range } from "../../ranges/range.ts";

/** What sysfs and /proc tell of an IOMMU and of how the kernel was told to use it, as text; null: not there. */
export interface IommuTraits {
  /** `intel-iommu/cap` and `ecap`: VT-d's Capability Register and the extended one, in hexadecimal. */
  readonly cap: string | null;
  readonly ecap: string | null;
  /** `amd-iommu/features`: AMD's Extended Feature Registers, in hexadecimal, "EFR" or "EFR:EFR2". */
  readonly features: string | null;
  /** The firmware's table of AMD's IOMMUs, a byte in each character. */
  readonly ivrs: string | null;
  /** The kernel's command line. */
  readonly commandLine: string | null;
}

/**
 * The aperture that the kernel will most likely give an IO address space behind an IOMMU, from what the IOMMU says of
 * itself; null where it says nothing. In doubt the smaller one. Only an IOAS with a device in it tells for certain.
 */
export function estimateAperture(traits: IommuTraits): Range | null {
  const bits = vtdBits(traits) ?? amdBits(traits);
  return bits === null ? null : { start: 0n, last: bits >= 64 ? FULL.last : (1n << BigInt(bits)) - 1n };
}

/**
 * What a page table of as many levels as the unit walks can address, up to the width that the unit takes
 * (`drivers/iommu/intel/iommu.c: paging_domain_alloc`, `__iommu_calculate_agaw`). In scalable mode a table may be of
 * either stage: Linux 7.3 prefers the first, whose addresses are sign-extended, so that the lower half is left of what
 * it reaches (`compute_vasz_lg2_fs`, PT_FEAT_SIGN_EXTEND); 6.12 gives the second. Whether the kernel uses that mode
 * nobody shows.
 */
function vtdBits({ cap, ecap }: IommuTraits): number | null {
  const capability = hexadecimal(cap);
  if (capability === null) return null;
  const extended = hexadecimal(ecap) ?? 0n;
  const maximum = Number(field(capability, 16n, 6n)) + 1;
  const isScalable = field(extended, 43n, 1n) === 1n;
  const hasFirstStage = isScalable && field(extended, 47n, 1n) === 1n;
  // Bit 0 is for 30 bits, and each further one for 9 more. 57, five levels, is the most that Linux uses.
  const widest = [3, 2, 1, 0].find((bit) => field(capability, 8n + BigInt(bit), 1n));
  const secondStage = widest === undefined ? null : Math.min(30 + 9 * widest, maximum);
  if (!hasFirstStage) return secondStage;
  const firstStage = Math.min(maximum > 48 && field(capability, 60n, 1n) ? 57 : 48, maximum) - 1;
  return secondStage === null ? firstStage : Math.min(firstStage, secondStage);
}

/**
 * With its own format of page tables, Linux 6.12 gives all 64 bits (`drivers/iommu/amd/iommu.c: dma_max_address`),
 * whatever the levels that the hardware walks (HATS, bits 11:10 of EFR) address; 7.3 what these do, or four where the
 * firmware's table has no EFR, and not more than that table says (`drivers/iommu/amd/init.c: early_amd_iommu_init`,
 * amd_iommu_hpt_vasize). With the CPU's format, `pgtbl_v2`, it is half of what four levels address, or of five.
 */
function amdBits({ features, ivrs, commandLine }: IommuTraits): number | null {
  const efr = hexadecimal(features?.split(":", 1)[0] ?? null);
  if (efr === null) return null;
  const { hasEfr, vaSize } = ivinfoOf(ivrs);
  const levels = hasEfr ? 4 + Number(field(efr, 10n, 2n)) : 4;
  const isV2 = /(?:^|\s)amd_iommu=\S*\bpgtbl_v2\b/.test(commandLine ?? "");
  return Math.min(12 + 9 * levels, isV2 ? 47 : 64, vaSize);
}

/** EFRSup and VASize, bits 0 and 21:15 of the IVRS's IVinfo at offset 36; with VASize 0 it is all 64 bits. */
function ivinfoOf(ivrs: string | null) {
  const bytes = Buffer.from(ivrs?.slice(36, 40) ?? "", "latin1");
  // Whoever may not read the table takes the hardware's word.
  if (bytes.length < 4) return { hasEfr: true, vaSize: 64 };
  const ivinfo = bytes.readUInt32LE();
  return { hasEfr: (ivinfo & 1) === 1, vaSize: (ivinfo >>> 15) & 0x7f || 64 };
}

function field(register: bigint, lowest: bigint, width: bigint): bigint {
  return (register >> lowest) & ((1n << width) - 1n);
}

function hexadecimal(text: string | null): bigint | null {
  return text !== null && /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : null;
}
