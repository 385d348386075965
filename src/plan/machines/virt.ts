import type { Window } from "../layout.ts";
import { GiB, type Memory, MiB, roundUp, windowOf } from "./memory-map.ts";

/** The Arm machine `virt`, with its default of `highmem=on`. */
export interface VirtMachine extends Memory {
  readonly type: "virt";
  /** `highmem-mmio-size`: a power of two, at least 512 GiB. */
  readonly highmemMmioSize?: bigint | undefined;
}

/** `hw/arm/virt.c: base_memmap`, VIRT_MEM and VIRT_PCIE_MMIO */
const RAM_BASE = GiB;
const PCIE_MMIO = { start: 0x10000000n, size: 0x2eff0000n };
/** `hw/arm/virt.c: extended_memmap`: redistributors, ECAM and the second PCIe window, each at a multiple of its size. */
const HIGH_REDIST2 = 64n * MiB;
const HIGH_PCIE_ECAM = 256n * MiB;
const HIGH_PCIE_MMIO = 512n * GiB;
/** The lowest place of those: 255 GiB of RAM were the limit once, and the map is kept. */
const HIGH_BASE = 256n * GiB;

/**
 * RAM from 1 GiB, above it the region for hot-plugged memory, above that the high PCIe window
 * (`hw/arm/virt.c: virt_set_memmap`, `virt_set_high_memmap`). QEMU leaves out the high window when the host's CPU cannot
 * address it; so it is not required here.
 */
export function virtWindows(machine: VirtMachine): Window[] {
  const { memory, maxMemory = memory, slots = 0, highmemMmioSize = HIGH_PCIE_MMIO } = machine;
  const device = roundUp(RAM_BASE + memory, GiB);
  const deviceSize = maxMemory - memory + BigInt(slots) * GiB;
  const top = device + roundUp(deviceSize, GiB);
  const redist2 = roundUp(top < HIGH_BASE ? HIGH_BASE : top, HIGH_REDIST2);
  const ecam = roundUp(redist2 + HIGH_REDIST2, HIGH_PCIE_ECAM);
  const mmio = roundUp(ecam + HIGH_PCIE_ECAM, highmemMmioSize);
  return [
    ...windowOf("pci-hole", PCIE_MMIO.start, PCIE_MMIO.size, false),
    ...windowOf("ram", RAM_BASE, memory, true),
    ...windowOf("device-memory", device, deviceSize, true),
    ...windowOf("pci-hole64", mmio, highmemMmioSize, false),
  ];
}
