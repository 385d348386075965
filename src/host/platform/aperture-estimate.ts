import { FULL, type Range } from "../../ranges/range.ts";

/** What sysfs and /proc tell of an IOMMU and of how the kernel was told to use it, as text; null: not there. */
export interface IommuTraits {
  /** `intel-iommu/cap` and `ecap`: VT-d's Capability Register and the extended one, in hexadecimal. */
  readonly cap: string | null;
  readonly ecap: string | null;
  /** `amd-iommu/features`: AMD's Extended Feature Registers, in hexadecimal, "EFR" or "EFR:EFR2". */
  readonly features: string | null;
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
 * (`drivers/iommu/intel/iommu.c: paging_domain_alloc`, `__iommu_calculate_agaw`).
 */
function vtdBits({ cap, ecap }: IommuTraits): number | null {
  const capability = hexadecimal(cap);
  if (capability === null) return null;
  const extended = hexadecimal(ecap) ?? 0n;
  const maximum = Number(field(capability, 16n, 6n)) + 1;
  const secondStage = field(capability, 8n, 5n);
  const firstStage = field(capability, 60n, 1n) ? 0b1100n : 0b0100n;
  // In scalable mode a table must suit both stages. Whether the kernel uses that mode nobody shows.
  const isScalable = field(extended, 43n, 1n) && field(extended, 46n, 1n) && field(extended, 47n, 1n);
  const widths = isScalable && secondStage & firstStage ? secondStage & firstStage : secondStage;
  // Bit 0 is for 30 bits, and each further one for 9 more. 57, five levels, is the most that Linux uses.
  const widest = [3, 2, 1, 0].find((bit) => field(widths, BigInt(bit), 1n));
  return widest === undefined ? null : Math.min(30 + 9 * widest, maximum);
}

/**
 * With its own format of page tables, Linux 6.12 gives all 64 bits (`drivers/iommu/amd/iommu.c: dma_max_address`),
 * whatever the levels that the hardware walks (HATS, bits 11:10 of EFR) address; with the CPU's format, `pgtbl_v2`,
 * half of what four levels address, or of five.
 */
function amdBits({ features, commandLine }: IommuTraits): number | null {
  const efr = hexadecimal(features?.split(":", 1)[0] ?? null);
  if (efr === null) return null;
  const levels = 4 + Number(field(efr, 10n, 2n));
  const isV2 = /(?:^|\s)amd_iommu=\S*\bpgtbl_v2\b/.test(commandLine ?? "");
  return Math.min(12 + 9 * levels, isV2 ? 47 : 64);
}

function field(register: bigint, lowest: bigint, width: bigint): bigint {
  return (register >> lowest) & ((1n << width) - 1n);
}

function hexadecimal(text: string | null): bigint | null {
  return text !== null && /^[0-9a-f]{1,16}$/i.test(text) ? BigInt(`0x${text}`) : null;
}
