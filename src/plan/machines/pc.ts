import type { Window } from "../layout.ts";
import { GiB, type Memory, roundUp, windowOf } from "./memory-map.ts";

/** The x86 machines `pc` (i440FX) and `q35`, in their versions of QEMU 7.1 and later. */
export interface PcMachine extends Memory {
  readonly type: "pc" | "q35";
  /** `max-ram-below-4g`, at most 4 GiB. */
  readonly maxRamBelow4g?: bigint | undefined;
  /** Whether the guest's CPU calls itself AuthenticAMD, as `-cpu host` does on AMD's and `-cpu EPYC` does anywhere. */
  readonly amdVcpu?: boolean | undefined;
  /** `pci-hole64-size` of the host bridge. */
  readonly pciHole64Size?: bigint | undefined;
}

/** `hw/pci-host/i440fx.c: I440FX_PCI_HOST_HOLE64_SIZE_DEFAULT`, `hw/pci-host/q35.c: Q35_PCI_HOST_HOLE64_SIZE_DEFAULT` */
const HOLE64_SIZE = { pc: 2n * GiB, q35: 32n * GiB };
/** `include/hw/i386/ioapic.h: IO_APIC_DEFAULT_ADDRESS`: above it there are interrupt controllers and firmware. */
const IO_APIC = 0xfec00000n;
/** `hw/i386/pc.c: AMD_HT_START`, `AMD_ABOVE_1TB_START` */
const AMD_HT_START = 0xfd00000000n;
const AMD_ABOVE_1TB_START = 0x10000000000n;

/**
 * RAM from 0 and again from 4 GiB, above it the region for hot-plugged memory, above that the 64-bit PCI hole
 * (`hw/i386/pc.c: pc_memory_init`, `pc_get_device_memory_range`, `pc_pci_hole64_start`). Where the last of it would
 * reach AMD's HyperTransport hole, QEMU moves everything above 4 GiB to 1 TiB, for an AMD vCPU only. SGX and CXL, which
 * lie between memory and hole, are not taken into account, nor is the firmware's ROM right below 4 GiB.
 */
export function pcWindows(machine: PcMachine): Window[] {
  const below = machine.type === "q35" ? belowOfQ35(machine) : belowOfPc(machine);
  const layout = above4g(machine, below, 4n * GiB);
  const crosses = layout.hole64 + layout.hole64Size - 1n >= AMD_HT_START;
  const { start, ram, device, deviceSize, hole64, hole64Size } =
    machine.amdVcpu && crosses ? above4g(machine, below, AMD_ABOVE_1TB_START) : layout;
  return [
    ...windowOf("ram-below-4g", 0n, below, true),
    ...windowOf("pci-hole", below, IO_APIC - below, false),
    ...windowOf("ram-above-4g", start, ram, true),
    ...windowOf("device-memory", device, deviceSize, true),
    ...windowOf("pci-hole64", hole64, hole64Size, false),
  ];
}

function above4g(
  { type, memory, maxMemory = memory, slots = 0, pciHole64Size }: PcMachine,
  below: bigint,
  start: bigint,
) {
  const ram = memory - below;
  const device = roundUp(start + ram, GiB);
  // A slot's memory may need aligning to a gigabyte page.
  const deviceSize = maxMemory > memory ? maxMemory - memory + BigInt(slots) * GiB : 0n;
  const hole64 = roundUp(deviceSize > 0n ? device + deviceSize : start + ram, GiB);
  return { start, ram, device, deviceSize, hole64, hole64Size: pciHole64Size ?? HOLE64_SIZE[type] };
}

/** `hw/i386/pc_q35.c: pc_q35_init`: 2 GiB, or all of it when that is less than 2.75 GiB. */
function belowOfQ35({ memory, maxRamBelow4g = 4n * GiB }: PcMachine): bigint {
  const low = memory >= 0xb0000000n ? 0x80000000n : 0xb0000000n;
  return least(memory, low, maxRamBelow4g);
}

/** `hw/i386/pc_piix.c: pc_init1`: all of it up to 3.5 GiB, else 3 GiB. */
function belowOfPc({ memory, maxRamBelow4g = 0xe0000000n }: PcMachine): bigint {
  return memory >= maxRamBelow4g ? least(memory, maxRamBelow4g, 0xc0000000n) : memory;
}

function least(first: bigint, ...others: bigint[]): bigint {
  let least = first;
  for (const size of others) if (size < least) least = size;
  return least;
}
