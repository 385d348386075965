import type { Window } from "../layout.ts";
import { GiB, type Memory, ramOf, windowOf } from "./memory-map.ts";

/** The x86 machine `microvm` with `pcie=on`: without it there is no device to assign. */
export interface MicrovmMachine extends Memory {
  readonly type: "microvm";
  /** The CPU's `phys-bits`; undefined: the place of the 64-bit hole is not known. */
  readonly physBits?: number | undefined;
}

/** `hw/i386/microvm.c: microvm_memory_init` */
const MOST_BELOW_4G = 3n * GiB;
/** `include/hw/i386/microvm.h: PCIE_MMIO_BASE`, `PCIE_MMIO_SIZE` */
const PCIE_MMIO = { start: 0xc0000000n, size: 0x20000000n };

/**
 * RAM up to 3 GiB, the rest from 4 GiB on; the 64-bit hole is the topmost quarter of the address space
 * (`hw/i386/microvm.c: microvm_devices_init`). There is no memory to plug: `maxmem` is accepted and gives nothing.
 * @throws RangeError for a guest that QEMU refuses, and for one whose RAM would be hidden
 */
export function microvmWindows(machine: MicrovmMachine): Window[] {
  const { size } = ramOf(machine);
  const below = size > MOST_BELOW_4G ? MOST_BELOW_4G : size;
  const quarter = machine.physBits === undefined ? 0n : 1n << BigInt(machine.physBits - 2);
  const end = 4n * GiB + size - below;
  if (quarter > 0n && end > 3n * quarter) {
    // QEMU starts it, and the hole hides the RAM.
    throw new RangeError(
      `with ${machine.physBits} phys-bits the 64-bit PCI hole would cover RAM; raise phys-bits, or give less memory`,
    );
  }
  return [
    ...windowOf("ram-below-4g", 0n, below, true),
    ...windowOf("pci-hole", PCIE_MMIO.start, PCIE_MMIO.size, false),
    ...windowOf("ram-above-4g", 4n * GiB, size - below, true),
    ...windowOf("pci-hole64", 3n * quarter, quarter, false),
  ];
}
