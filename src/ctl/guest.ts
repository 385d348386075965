import { readFileSync } from "node:fs";
import { UsageError } from "../command-line.ts";
import type { OptionDefinitions, Values } from "./command.ts";
import { parseIoasName } from "./ioas-name.ts";
import { MACHINE_TYPES, parseMachine } from "./machine.ts";
import { parseRange } from "./ranges.ts";

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
