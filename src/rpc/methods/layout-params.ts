import { z } from "zod";
import { LIMITS } from "../../limits.ts";
import type { Window } from "../../plan/layout.ts";
import type { PcMachine } from "../../plan/machines/pc.ts";
import type { VirtMachine } from "../../plan/machines/virt.ts";
import { U64_MAX } from "../../ranges/address.ts";
import { address } from "../types.ts";

const GiB = 1n << 30n;

const window = z
  .strictObject({
    name: z.string().min(1).max(128),
    start: address,
    last: address.optional(),
    size: address.optional().meta({ description: "In bytes, instead of last" }),
  })
  .transform(({ name, start, last: given, size }, context): Window => {
    const fault = (message: string) => {
      context.addIssue({ code: "custom", message });
      return z.NEVER;
    };
    if ((given === undefined) === (size === undefined)) return fault("expected either last or size");
    if (size === 0n) return fault("size: expected at least 1 byte");
    const last = given ?? start + (size as bigint) - 1n;
    if (last < start) return fault("start lies above last (both are inclusive)");
    if (last > U64_MAX) return fault("start and size reach beyond 64 bits");
    return { name, start, last, required: true };
  })
  .meta({ id: "WindowInput", description: "A part of the guest's address space that devices are to reach" });

const memory = {
  memory: address
    .refine((size) => size > 0n, { error: "expected at least 1 byte" })
    .meta({ description: "-m size, in bytes" }),
  "max-memory": address.optional().meta({ description: "-m maxmem, in bytes" }),
  slots: z.int().min(0).max(256).optional().meta({ description: "-m slots" }),
};

const pc = z.strictObject({
  type: z.enum(["pc", "q35"]),
  ...memory,
  "max-ram-below-4g": address
    .refine((size) => size >= 1n << 20n && size <= 4n * GiB, { error: "expected 1 MiB to 4 GiB" })
    .optional(),
  "amd-vcpu": z.boolean().default(false).meta({
    description:
      "The guest's CPU calls itself AuthenticAMD: then QEMU 7.1 and later keep clear of the HyperTransport hole below 1 TiB",
  }),
  "pci-hole64-size": address
    .optional()
    .meta({ description: "Of the host bridge; 2 GiB for pc, 32 GiB for q35" }),
});

const virt = z.strictObject({
  type: z.literal("virt"),
  ...memory,
  "highmem-mmio-size": address
    .refine((size) => size >= 512n * GiB && (size & (size - 1n)) === 0n, {
      error: "expected a power of two, at least 512 GiB",
    })
    .optional(),
});

const machine = z
  .discriminatedUnion("type", [pc, virt])
  .refine((given) => (given["max-memory"] ?? given.memory) >= given.memory, {
    error: "max-memory is less than memory",
  })
  .transform((given): PcMachine | VirtMachine => {
    const { memory, "max-memory": maxMemory, slots } = given;
    if (given.type === "virt") {
      return { type: "virt", memory, maxMemory, slots, highmemMmioSize: given["highmem-mmio-size"] };
    }
    return {
      type: given.type,
      memory,
      maxMemory,
      slots,
      maxRamBelow4g: given["max-ram-below-4g"],
      amdVcpu: given["amd-vcpu"],
      pciHole64Size: given["pci-hole64-size"],
    };
  })
  .meta({
    id: "MachineInput",
    description:
      "A machine of QEMU's (7.1 and later), as its command line describes it: pc and q35 (x86), virt (Arm)",
  });

/** The members of params that say what a guest's memory map is. */
export const layoutParams = {
  layout: z
    .array(window)
    .max(LIMITS["max-windows"].max, { error: `at most ${LIMITS["max-windows"].max} windows` })
    .optional()
    .meta({ description: "Windows; beside a machine or an mtree, in addition to theirs" }),
  machine: machine.optional(),
  mtree: z.string().optional().meta({
    description: 'What the monitor of a running QEMU prints for "info mtree -f" (QMP: human-monitor-command)',
  }),
};
