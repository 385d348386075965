import type { Window } from "../layout.ts";
import { GiB, type Memory, MiB, ramOf, refused, roundUp, windowOf } from "./memory-map.ts";
import { isUpTo } from "./versions.ts";

/** The Arm machine `virt`. Members that are undefined have QEMU's default. */
export interface VirtMachine extends Memory {
  readonly type: "virt";
  /** "8.0"; undefined: the newest. */
  readonly version?: string | undefined;
  /** Of the CPU's physical addresses (PARange; under KVM what the host lets a guest have); undefined: enough. */
  readonly physBits?: number | undefined;
  /** Off: as if the CPU had 32 bits. */
  readonly highmem?: boolean | undefined;
  readonly compactHighmem?: boolean | undefined;
  readonly highmemRedists?: boolean | undefined;
  readonly highmemEcam?: boolean | undefined;
  readonly highmemMmio?: boolean | undefined;
  /** A power of two, at least 512 GiB. */
  readonly highmemMmioSize?: bigint | undefined;
}

/** `hw/arm/virt.c: base_memmap`, VIRT_MEM and VIRT_PCIE_MMIO */
const RAM_BASE = GiB;
const PCIE_MMIO = { start: 0x10000000n, size: 0x2eff0000n };
/** `hw/arm/virt.c: extended_memmap`: redistributors, ECAM and the second PCIe window, each at a multiple of its size. */
const HIGH_REDIST2 = 64n * MiB;
const HIGH_PCIE_ECAM = 256n * MiB;
const HIGH_PCIE_MMIO = 512n * GiB;
/** The most that the architecture has. */
const MOST_PHYS_BITS = 52;

/**
 * RAM from 1 GiB, above it the region for hot-plugged memory, above that the high PCIe window
 * (`hw/arm/virt.c: virt_set_memmap`, `virt_set_high_memmap`).
 * @throws RangeError with QEMU's reason for a guest that it refuses
 */
export function virtWindows(machine: VirtMachine): Window[] {
  const { size, maxSize, slots } = ramOf(machine);
  const physBits = machine.highmem === false ? 32 : (machine.physBits ?? MOST_PHYS_BITS);
  const device = roundUp(RAM_BASE + size, GiB);
  const deviceSize = maxSize - size + slots * GiB;
  const top = device + roundUp(deviceSize, GiB);
  const limit = 1n << BigInt(physBits);
  if (top > limit) {
    throw refused(
      `addressing is limited to ${physBits} bits, but memory exceeds it by ${top - limit} bytes`,
      machine.highmem === false ? "leave highmem on, or give less memory" : "give less memory",
    );
  }
  return [
    ...windowOf("pci-hole", PCIE_MMIO.start, PCIE_MMIO.size, false),
    ...windowOf("ram", RAM_BASE, size, true),
    ...windowOf("device-memory", device, deviceSize, true),
    ...highPcieWindow(machine, top, limit),
  ];
}

/**
 * None when it is off, or beyond what the CPU can address. Nothing of this is below 256 GiB, for which there is no need
 * to look: no window is shorter than 512 GiB.
 */
function highPcieWindow(machine: VirtMachine, top: bigint, limit: bigint): Window[] {
  const { highmemMmioSize = HIGH_PCIE_MMIO, highmemMmio = true } = machine;
  const compact = machine.compactHighmem ?? !isUpTo("7.1", machine);
  const redists = machine.highmemRedists ?? true;
  const ecam = machine.highmemEcam ?? !isUpTo("2.12", machine);
  let base = top;
  // The compact layout leaves no room for what is off.
  if (redists || !compact) base = roundUp(base, HIGH_REDIST2) + HIGH_REDIST2;
  if (ecam || !compact) base = roundUp(base, HIGH_PCIE_ECAM) + HIGH_PCIE_ECAM;
  const start = roundUp(base, highmemMmioSize);
  return highmemMmio && start + highmemMmioSize <= limit
    ? windowOf("pci-hole64", start, highmemMmioSize, false)
    : [];
}
