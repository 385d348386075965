import { isUpTo } from "./versions.ts";

/** In what the versions of `pc` and `q35` differ that moves memory or holes. */
export interface PcTraits {
  /** `enforce_amd_1tb_hole` */
  readonly avoidsHyperTransport: boolean;
  /** `x-pci-hole64-fix`: whether the host bridge has a 64-bit hole before firmware sets one up. */
  readonly hasHole64: boolean;
  /** Not `broken_reserved_end`: whether the 64-bit hole is put above the device memory. */
  readonly countsDeviceMemory: boolean;
  /** `enforce_aligned_dimm` */
  readonly alignsSlots: boolean;
  /** `has_reserved_memory` */
  readonly hasDeviceMemory: boolean;
  /** `gigabyte_align` */
  readonly alignsRam: boolean;
}

/** `hw/i386/pc_piix.c` and `pc_q35.c: …_machine_options`, `hw/i386/pc.c: pc_compat_2_10`; the oldest in QEMU 7.2. */
export function pcTraits(machine: {
  readonly version?: string | undefined;
  readonly xPciHole64Fix?: boolean | undefined;
}): PcTraits {
  return {
    avoidsHyperTransport: !isUpTo("7.0", machine),
    hasHole64: machine.xPciHole64Fix ?? !isUpTo("2.10", machine),
    countsDeviceMemory: !isUpTo("2.4", machine),
    alignsSlots: !isUpTo("2.1", machine),
    hasDeviceMemory: !isUpTo("2.0", machine),
    alignsRam: !isUpTo("1.7", machine),
  };
}
