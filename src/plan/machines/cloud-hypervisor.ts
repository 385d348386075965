import type { Window } from "../layout.ts";
import { GiB, MiB, roundUp, windowOf } from "./memory-map.ts";

/** A guest of Cloud Hypervisor's, on either architecture. */
export interface CloudHypervisorMachine {
  readonly type: "cloud-hypervisor";
  readonly arch: "x86-64" | "aarch64";
  /** `--memory size`, or the sum of all zones. */
  readonly memory: bigint;
  /** `--memory hotplug_size`, for either method. */
  readonly hotplugSize?: bigint | undefined;
  /** The host's, or `--cpus max_phys_bits` when that is less; undefined: the end of the 64-bit hole is not known. */
  readonly physBits?: number | undefined;
}

/** `arch/src/x86_64/layout.rs`, `arch/src/aarch64/layout.rs`; `low` ends where the 32-bit reserved area begins. */
const LAYOUTS = {
  "x86-64": { low: { start: 0n, size: 3n * GiB }, mem32: { start: 0xc0000000n, size: 640n * MiB } },
  aarch64: { low: { start: GiB, size: 0xfc000000n - GiB }, mem32: { start: 0x10000000n, size: 512n * MiB } },
};
/** `RAM_64BIT_START` */
const HIGH_RAM = 4n * GiB;
/** `vmm/src/memory_manager.rs: start_addr`, and `VIRTIO_MEM_ALIGN_SIZE` */
const HOTPLUG_ALIGNMENT = 128n * MiB;
/** What the 64-bit device area leaves of the address space: `mmio_address_space_size`, `PLATFORM_DEVICE_AREA_SIZE`. */
const TOP_RESERVED = (64n << 10n) + MiB;

/**
 * RAM in a low and a high piece, then what may be plugged, then all the rest for devices
 * (`vmm/src/memory_manager.rs: MemoryManager::new`). AMD's HyperTransport hole is not avoided.
 * @throws RangeError for a guest that Cloud Hypervisor refuses
 */
export function cloudHypervisorWindows(machine: CloudHypervisorMachine): Window[] {
  const { memory, hotplugSize } = machine;
  const { low, mem32 } = LAYOUTS[machine.arch];
  if (memory % 4096n !== 0n) {
    throw new RangeError("Cloud Hypervisor refuses this guest: memory is not a multiple of 4096 bytes");
  }
  const lowSize = memory > low.size ? low.size : memory;
  const end = HIGH_RAM + memory - lowSize;
  const plugged = hotplugSize === undefined ? end : roundUp(end, HOTPLUG_ALIGNMENT);
  const devices = plugged + (hotplugSize ?? 0n);
  return [
    ...windowOf("ram-below-4g", low.start, lowSize, true),
    ...windowOf("pci-hole", mem32.start, mem32.size, false),
    ...windowOf("ram-above-4g", HIGH_RAM, memory - lowSize, true),
    ...windowOf("device-memory", plugged, hotplugSize ?? 0n, true),
    ...deviceArea(devices, machine.physBits),
  ];
}

function deviceArea(start: bigint, physBits: number | undefined): Window[] {
  if (physBits === undefined) return [];
  const size = (1n << BigInt(physBits)) - TOP_RESERVED - start;
  if (size > 0n) return windowOf("pci-hole64", start, size, false);
  throw new RangeError(
    `Cloud Hypervisor refuses this guest: ${physBits} phys-bits leave nothing above memory for devices`,
  );
}
