import { readFileSync } from "node:fs";
import { UsageError } from "../command-line.ts";
import type { Machine } from "../plan/machines.ts";
import type { OptionDefinitions, Values } from "./command.ts";
import { parseIoasName } from "./ioas-name.ts";
import { parseRange } from "./ranges.ts";

/** Completed and told without loading the planner's tables. */
const MACHINE_TYPES = Object.keys({
  q35: 0,
  pc: 0,
  virt: 0,
  microvm: 0,
  "cloud-hypervisor": 0,
} satisfies Record<Machine["type"], 0>);

/** The options that say what a guest's memory map is. */
export const GUEST_OPTIONS = {
  machine: {
    type: "string",
    value: "TYPE[,OPTION=VALUE…]",
    words: MACHINE_TYPES,
    about: `a machine as QEMU's -machine has it: ${MACHINE_TYPES.join(", ")}; as in q35,version=9.0 or pc-q35-9.0`,
  },
  memory: {
    type: "string",
    short: "m",
    value: "SIZE",
    about: "the machine's memory, as QEMU's -m: 8G, 1.5T, 4096 (MiB)",
  },
  mtree: {
    type: "string",
    value: "FILE",
    about: 'what a running QEMU prints for "info mtree -f"; - is standard input',
  },
  layout: {
    type: "string",
    multiple: true,
    value: "NAME=START+SIZE",
    about: "a window of the guest's memory map, or NAME=START-LAST; as often as needed",
  },
} as const satisfies OptionDefinitions;

/** The option that adds an IO address space to what is asked about. */
export const IOAS_OPTION = {
  ioas: {
    type: "string",
    value: "[CONTEXT/]IOAS",
    about: "an IO address space, with all that is attached to it",
  },
} as const satisfies OptionDefinitions;

/** What was assumed of the guest, for people. */
export const ASSUMED_MACHINE = "q35";

export const NO_GUEST = "which guest? give -m, --machine, --mtree or --layout; try --help";

/** The layout members of check-layout's params. @throws UsageError */
export function guestParams({ machine, memory, mtree, layout }: Values<typeof GUEST_OPTIONS>) {
  if (machine !== undefined && mtree !== undefined) {
    throw new UsageError("--machine and --mtree both say where the guest's memory is: give one of them");
  }
  const described = machine ?? (memory === undefined ? undefined : ASSUMED_MACHINE);
  return {
    ...(described === undefined ? {} : { machine: parseMachine(described, memory) }),
    ...(mtree === undefined ? {} : { mtree: memoryView(readText("--mtree", mtree)) }),
    ...(layout === undefined ? {} : { layout: layout.map(parseWindow) }),
  };
}

/** Whether the machine was not said. */
export function isMachineAssumed({ machine, memory }: Values<typeof GUEST_OPTIONS>): boolean {
  return machine === undefined && memory !== undefined;
}

/** The same, of a question that is about nothing without them. @throws UsageError */
export function someGuest(options: Values<typeof GUEST_OPTIONS>) {
  const params = guestParams(options);
  if (Object.keys(params).length > 0) return params;
  throw new UsageError(NO_GUEST);
}

/** The members of params that say who restricts the guest. */
export function sourceParams(devices: readonly string[], { ioas }: Values<typeof IOAS_OPTION>) {
  return { ...(devices.length > 0 ? { devices } : {}), ...(ioas === undefined ? {} : parseIoasName(ioas)) };
}

/** The same, of a question that is about nothing without them. @throws UsageError */
export function someSource(devices: readonly string[], options: Values<typeof IOAS_OPTION>) {
  if (devices.length > 0 || options.ioas !== undefined) return sourceParams(devices, options);
  throw new UsageError("for which device? name it, or give --ioas (iovactl devices lists the devices)");
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
function parseMachine(text: string, memory: string | undefined): MachineParam {
  const [name = "", ...options] = text.split(",");
  const [, full, version] = FULL_NAME.exec(name) ?? [];
  const type = full === undefined ? name.replace(/^type=/, "") : (FULL_TYPES[full] as string);
  const members = Object.fromEntries(options.filter((option) => option !== "").map(machineOption));
  return {
    type,
    ...(version === undefined ? {} : { version }),
    ...members,
    ...(memory === undefined ? {} : parseMemory(memory)),
  } as MachineParam;
}

/** The daemon checks more than a type could. */
type MachineParam = { readonly type: "q35"; readonly memory: string };

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

function parseWindow(text: string) {
  const at = text.indexOf("=");
  if (at < 1) throw new UsageError(`--layout ${text}: write NAME=START+SIZE, as in ram=0x0+2G`);
  const range = text.slice(at + 1);
  if (!/[-+]/.test(range))
    throw new UsageError(`--layout ${text}: how long? write NAME=START+SIZE, as in ram=0x0+2G`);
  return { name: text.slice(0, at), ...parseRange(range) };
}

/** Of a file, or of standard input. @throws UsageError */
export function readText(option: string, file: string): string {
  try {
    return readFileSync(file === "-" ? 0 : file, "utf8");
  } catch (error) {
    throw new UsageError(`${option} ${file}: ${(error as Error).message}`);
  }
}

/**
 * The one view of a flat mtree that counts, that of the address space "memory": a large guest's whole text is longer
 * than a request. Takes QMP's answer to human-monitor-command as well. What has no such view goes as it is: the daemon
 * says what it lacks.
 */
function memoryView(text: string): string {
  const plain = (textOfAnswer(text) ?? text).replaceAll("\r", "");
  return plain.split(/\n{2,}/).find((view) => / AS "memory",/.test(view)) ?? plain;
}

function textOfAnswer(text: string): string | undefined {
  if (!text.trimStart().startsWith("{")) return undefined;
  try {
    return (JSON.parse(text) as { return?: string }).return;
  } catch {
    return undefined;
  }
}
