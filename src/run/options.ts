import { constants } from "node:os";
import { parseArgs } from "node:util";
import { USUAL_SOCKET, usualSocket } from "../client/usual-socket.ts";
import { faultOf, UsageError } from "../command-line.ts";
import { longForm } from "../rpc/device-name.ts";

/** What the command line asks for. */
export interface RunOptions {
  readonly socket: string;
  readonly context: string;
  readonly devices: readonly string[];
  /** Whether pinned memory counts against the child alone. */
  readonly rlimitMode: boolean;
  /** What the child gets when this process dies. */
  readonly deathSignal: string | undefined;
  /** The program and its arguments, placeholders in them. */
  readonly command: readonly [string, ...string[]];
}

export const HELP = `iovad-run: start a program with VFIO devices that it may not open itself

Usage: iovad-run [OPTION]... -- COMMAND [ARGUMENT]...

  --device DEVICE    hand this device over, e.g. 0000:01:00.0; as often as needed
  --socket PATH      where iovad listens
                     (default: ${USUAL_SOCKET})
  --context NAME     name of the iommufd context (default: run-PID)
  --rlimit-mode      count pinned memory against the program alone, not against all of the user's
  --pdeathsig SIGNAL the program gets this signal, as in KILL or TERM, when iovad-run dies, killed for one
                     (takes setpriv of util-linux; lost when the program changes its user)
  --version          print the version and exit
  --help             print this help and exit

In the command, {iommufd} and {device:DEVICE} stand for the numbers of the file descriptors:
  iovad-run --device 0000:01:00.0 -- qemu-system-x86_64 ... \\
    -object iommufd,id=iommufd0,fd={iommufd} \\
    -device vfio-pci,iommufd=iommufd0,fd={device:0000:01:00.0}

Signals go to the command, which alone says when this ends; SIGTSTP stops both, SIGCONT continues both.
When the command ends the context is destroyed; when iovad ends first, the command goes on with what it
has. Exit status: the command's, 128 + N when signal N has killed it; 1 when iovad refuses or is not
there, 2 for a wrong command line, 126 or 127 when the command cannot be run.
`;

/** Reads the command line. "help" and "version" want nothing but their text printed. @throws UsageError */
export function parseOptions(
  args: readonly string[],
  { pid, env }: Pick<NodeJS.Process, "pid" | "env">,
): RunOptions | "help" | "version" {
  const dashes = args.indexOf("--");
  const values = parse(dashes < 0 ? args : args.slice(0, dashes));
  if (values.help) return "help";
  if (values.version) return "version";
  const [program, ...rest] = dashes < 0 ? [] : args.slice(dashes + 1);
  if (program === undefined || program === "") {
    throw new UsageError("there is no command to run: put it behind --; try --help");
  }
  const devices = (values.device ?? []).map(longForm);
  const twice = devices.find((device, index) => devices.indexOf(device) !== index);
  if (twice !== undefined) throw new UsageError(`--device ${twice} is given twice`);
  const unknown = devicesIn([program, ...rest]).find((device) => !devices.includes(device));
  if (unknown !== undefined) {
    throw new UsageError(`the command has {device:${unknown}}, and there is no --device ${unknown}`);
  }
  return {
    socket: values.socket ?? usualSocket(env),
    context: values.context ?? `run-${pid}`,
    devices,
    rlimitMode: values["rlimit-mode"] ?? false,
    deathSignal: values.pdeathsig === undefined ? undefined : signalName(values.pdeathsig),
    command: [program, ...rest],
  };
}

/** Without its SIG, as setpriv takes it. */
function signalName(given: string): string {
  const name = given.replace(/^SIG/, "");
  if (`SIG${name}` in constants.signals) return name;
  throw new UsageError(`--pdeathsig takes the name of a signal, as in KILL or TERM, and not ${given}`);
}

const PLACEHOLDER = /\{(?:iommufd|device:([^{}]+))\}/g;

function devicesIn(command: readonly string[]): string[] {
  return command.flatMap((word) =>
    Array.from(word.matchAll(PLACEHOLDER), ([, device]) => (device ? longForm(device) : [])).flat(),
  );
}

/** The command with numbers for its placeholders. */
export function fillIn(
  command: readonly string[],
  iommufd: number,
  devices: ReadonlyMap<string, number>,
): string[] {
  return command.map((word) =>
    word.replace(PLACEHOLDER, (whole, device?: string) =>
      device === undefined ? String(iommufd) : String(devices.get(longForm(device)) ?? whole),
    ),
  );
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        device: { type: "string", multiple: true },
        socket: { type: "string" },
        context: { type: "string" },
        "rlimit-mode": { type: "boolean" },
        pdeathsig: { type: "string" },
        version: { type: "boolean" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    throw new UsageError(faultOf(error));
  }
}
