import { UsageError } from "../command-line.ts";
import type { Machine } from "../plan/machines.ts";

const OF_QEMU = ["version", "phys-bits"];
const OF_PC = [
  ...OF_QEMU,
  "amd-vcpu",
  "max-ram-below-4g",
  "pci-hole64-size",
  "x-pci-hole64-fix",
  "cxl",
  "cxl-fmw-size",
];

/** What may be said of a machine beside its memory. Completed and told without loading the planner's tables. */
export const MACHINE_OPTIONS: Readonly<Record<Machine["type"], readonly string[]>> = {
  q35: OF_PC,
  pc: OF_PC,
  virt: [
    ...OF_QEMU,
    "highmem",
    "highmem-mmio",
    "highmem-mmio-size",
    "highmem-ecam",
    "highmem-redists",
    "compact-highmem",
  ],
  microvm: ["phys-bits"],
  "cloud-hypervisor": ["arch", "hotplug-size", "phys-bits"],
};
export const MACHINE_TYPES = Object.keys(MACHINE_OPTIONS);

/**
 * Of QEMU's -machine what is not about where memory is, and stands in most command lines: `info mtree -f` of a q35 is the same
 * with either value (QEMU 7.2). A microvm is always one with PCIe: without it, it has no devices.
 */
const IDLE = [
  "accel",
  "kernel-irqchip",
  "memory-backend",
  "dump-guest-core",
  "mem-merge",
  "usb",
  "vmport",
  "smm",
  "hpet",
  "acpi",
  "graphics",
];

/** What --machine takes, for people. */
export const MACHINE_DETAILS = `Options of a machine. ${optionsOf(["q35", "pc"])}; ${optionsOf(["virt"])}; ${optionsOf(["microvm"])}; ${optionsOf(["cloud-hypervisor"])}. amd-vcpu=on: the guest's CPU calls itself AMD's, as each does on an AMD host under KVM. What else QEMU takes is refused, since it may move memory, but for ${IDLE.join(", ")}, which do not.`;

function optionsOf(types: readonly Machine["type"][]): string {
  return `${types.join(" and ")}: ${MACHINE_OPTIONS[types[0] as Machine["type"]].join(", ")}`;
}

/** QEMU's full names: pc-q35-9.0, pc-i440fx-9.0, virt-9.0. */
const FULL_NAME = /^(pc-q35|pc-i440fx|virt)-(\d+\.\d+)$/;
const FULL_TYPES: Readonly<Record<string, string>> = { "pc-q35": "q35", "pc-i440fx": "pc", virt: "virt" };
const INTEGERS: ReadonlySet<string> = new Set(["slots", "phys-bits"]);
const FLAGS: Readonly<Record<string, boolean>> = {
  on: true,
  off: false,
  yes: true,
  no: false,
  true: true,
  false: false,
};

/** What the daemon takes as a machine; which types and options there are, it knows. @throws UsageError */
export function parseMachine(text: string, memory: string | undefined): MachineParam {
  const [name = "", ...options] = text.split(",");
  const [, full, version] = FULL_NAME.exec(name) ?? [];
  const type = full === undefined ? name.replace(/^type=/, "") : (FULL_TYPES[full] as string);
  const members = Object.fromEntries(options.filter((option) => !isIdle(option)).map(machineOption));
  return {
    type,
    ...(version === undefined ? {} : { version }),
    ...members,
    ...(memory === undefined ? {} : parseMemory(memory)),
  } as MachineParam;
}

/** The daemon checks more than a type could. */
type MachineParam = { readonly type: "q35"; readonly memory: string };

/** Whether it is nothing to the daemon, which refuses what may move memory. */
function isIdle(option: string): boolean {
  return option === "" || option === "pcie=on" || IDLE.includes(option.split("=", 1)[0] as string);
}

function machineOption(text: string): [string, unknown] {
  const [name = "", value = "on"] = text.split("=", 2);
  if (INTEGERS.has(name) && /^\d+$/.test(value)) return [name, Number(value)];
  return [name, name === "version" ? value : (FLAGS[value] ?? value)];
}

/** `8G`, `4096` (MiB, as QEMU has it), `size=4G,slots=2,maxmem=8G`. @throws UsageError */
function parseMemory(text: string): Record<string, unknown> {
  const members: Record<string, unknown> = {};
  for (const [at, part] of text.split(",").entries()) {
    const [name = "", value] = part.split("=", 2);
    if (value === undefined && at === 0) members.memory = inMegabytes(name);
    else if (name === "size" && value !== undefined) members.memory = inMegabytes(value);
    else if (name === "maxmem" && value !== undefined) members["max-memory"] = inMegabytes(value);
    else if (name === "slots" && /^\d+$/.test(value ?? "")) members.slots = Number(value);
    else
      throw new UsageError(
        `-m ${text}: "${part}" is not known; write SIZE, or size=SIZE,slots=N,maxmem=SIZE`,
      );
  }
  return members;
}

function inMegabytes(size: string): string {
  return /^\d+(\.\d*)?$/.test(size) ? `${size}M` : size;
}
