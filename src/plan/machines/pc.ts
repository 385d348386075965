import { formatAddress } from "../../ranges/address.ts";
import type { Window } from "../layout.ts";
import { type Cxl, cxlAbove } from "./cxl.ts";
import { GiB, type Memory, type Ram, ramOf, refused, roundUp, windowOf } from "./memory-map.ts";
import { type PcTraits, pcTraits } from "./pc-traits.ts";
import { fullName } from "./versions.ts";

/** The x86 machines `pc` (i440FX) and `q35`, with a 64-bit vCPU. */
export interface PcMachine extends Memory, Cxl {
  readonly type: "pc" | "q35";
  /** "6.2"; undefined: the newest. */
  readonly version?: string | undefined;
  /** `max-ram-below-4g`, at most 4 GiB. */
  readonly maxRamBelow4g?: bigint | undefined;
  /** Whether the guest's CPU calls itself AuthenticAMD. */
  readonly amdVcpu?: boolean | undefined;
  /** The CPU's `phys-bits`; undefined: as many as are needed. */
  readonly physBits?: number | undefined;
  /** `pci-hole64-size` of the host bridge. */
  readonly pciHole64Size?: bigint | undefined;
  /** `x-pci-hole64-fix` of the host bridge; undefined: what the version has. */
  readonly xPciHole64Fix?: boolean | undefined;
}

/** `hw/pci-host/i440fx.c: I440FX_PCI_HOST_HOLE64_SIZE_DEFAULT`, `hw/pci-host/q35.c: Q35_PCI_HOST_HOLE64_SIZE_DEFAULT` */
const HOLE64_SIZE = { pc: 2n * GiB, q35: 32n * GiB };
/** `include/hw/i386/ioapic.h: IO_APIC_DEFAULT_ADDRESS`: above it there are interrupt controllers and firmware. */
const IO_APIC = 0xfec00000n;
/** `hw/i386/pc.c: AMD_HT_START`, `AMD_ABOVE_1TB_START` */
const AMD_HT_START = 0xfd00000000n;
const AMD_ABOVE_1TB_START = 0x10000000000n;
/** `target/i386/cpu.h: TARGET_PHYS_ADDR_SPACE_BITS` */
const MOST_PHYS_BITS = 52;

/**
 * RAM from 0 and again from 4 GiB, above it the region for hot-plugged memory, then CXL, then the 64-bit PCI hole
 * (`hw/i386/pc.c: pc_memory_init`, `pc_get_device_memory_range`, `pc_pci_hole64_start`). Where the last of it would
 * reach AMD's HyperTransport hole, QEMU moves everything above 4 GiB to 1 TiB, for an AMD vCPU only. Not taken into
 * account: SGX, and the firmware's ROM right below 4 GiB.
 * @throws RangeError with QEMU's reason for a guest that it refuses
 */
export function pcWindows(machine: PcMachine): Window[] {
  const traits = pcTraits(machine);
  const ram = ramOf(machine);
  refuseDeviceMemory(machine, ram, traits);
  const below = machine.type === "q35" ? belowOfQ35(machine, ram) : belowOfPc(machine, ram, traits);
  const layout = above4g(machine, ram, traits, below, 4n * GiB);
  const moves = traits.avoidsHyperTransport && machine.amdVcpu && layout.last >= AMD_HT_START;
  const { start, device, deviceSize, cxl, hole64, hole64Size, last } = moves
    ? above4g(machine, ram, traits, below, AMD_ABOVE_1TB_START)
    : layout;
  refusePhysBits(last, machine.physBits ?? MOST_PHYS_BITS);
  return [
    ...windowOf("ram-below-4g", 0n, below, true),
    ...windowOf("pci-hole", below, IO_APIC - below, false),
    ...windowOf("ram-above-4g", start, ram.size - below, true),
    ...windowOf("device-memory", device, deviceSize, true),
    ...cxl,
    // `hw/pci-host/q35.c: q35_host_get_pci_hole64_end`
    ...(traits.hasHole64 ? windowOf("pci-hole64", hole64, roundUp(hole64Size, GiB), false) : []),
  ];
}

function above4g(machine: PcMachine, ram: Ram, traits: PcTraits, below: bigint, start: bigint) {
  const end = start + ram.size - below;
  const device = roundUp(end, GiB);
  // A slot's memory may need aligning to a gigabyte page.
  const slack = traits.alignsSlots ? ram.slots * GiB : 0n;
  const deviceSize = ram.maxSize - ram.size + slack;
  const top = deviceSize > 0n ? device + deviceSize : end;
  const { windows: cxl, end: cxlEnd } = cxlAbove(top, machine);
  const hole64 = roundUp(traits.countsDeviceMemory || machine.cxl ? cxlEnd : device, GiB);
  const hole64Size = machine.pciHole64Size ?? HOLE64_SIZE[machine.type];
  // `hw/i386/pc.c: pc_max_used_gpa`: not rounded.
  return { start, device, deviceSize, cxl, hole64, hole64Size, last: hole64 + hole64Size - 1n };
}

/** `hw/i386/pc_q35.c: pc_q35_init`: 2 GiB, or all of it when that is less than 2.75 GiB. */
function belowOfQ35({ maxRamBelow4g }: PcMachine, { size }: Ram): bigint {
  return least(size >= 0xb0000000n ? 0x80000000n : size, maxRamBelow4g ?? size);
}

/** `hw/i386/pc_piix.c: pc_init1`: all of it up to 3.5 GiB, else 3 GiB. */
function belowOfPc({ maxRamBelow4g = 0xe0000000n }: PcMachine, { size }: Ram, traits: PcTraits): bigint {
  if (size >= maxRamBelow4g) return traits.alignsRam ? least(maxRamBelow4g, 0xc0000000n) : maxRamBelow4g;
  // QEMU ends with a failed assertion: the 32-bit hole between RAM and interrupt controllers may not be empty.
  if (size >= IO_APIC) {
    throw refused(
      `${formatAddress(size)} bytes of RAM leave no 32-bit PCI hole below ${formatAddress(IO_APIC)}`,
      "lower max-ram-below-4g",
    );
  }
  return size;
}

/** `hw/i386/pc.c: pc_memory_init` */
function refuseDeviceMemory({ type, version }: PcMachine, { size, maxSize }: Ram, traits: PcTraits) {
  if (!traits.hasDeviceMemory && maxSize > size) {
    throw refused(
      `"-memory 'slots|maxmem'" is not supported by ${fullName(type, `${version}`)}`,
      "leave them out, or take a newer version",
    );
  }
  if (maxSize % 4096n !== 0n) {
    throw refused("maxmem must be aligned to a multiple of 4096 bytes", "round max-memory");
  }
}

/** `hw/i386/pc.c: pc_memory_init` */
function refusePhysBits(last: bigint, physBits: number) {
  const limit = (1n << BigInt(physBits)) - 1n;
  if (last <= limit) return;
  const needed = last.toString(2).length;
  throw refused(
    `address space limit ${formatAddress(limit)} < ${formatAddress(last)}, phys-bits too low (${physBits})`,
    needed > MOST_PHYS_BITS ? "give less memory" : `it takes phys-bits=${needed}, or less memory`,
  );
}

function least(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}
