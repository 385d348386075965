import { parseArgs } from "node:util";
import { MAINLINE_IOMMUFD_IOCTLS } from "./uapi/iommufd.ts";

/** What the command line asks for. */
export interface Options {
  readonly socket: string;
  /** A topology file to simulate; without it, the host itself. */
  readonly simulate?: string;
  readonly logLevel: string;
  /** Bytes in one request line. */
  readonly maxRequest?: number;
  readonly maxConnections?: number;
  /** The number of IOMMU_RESV_IOVA_RANGES on a kernel that has the patch. */
  readonly resvIovaRangesIoctl?: number;
}

/** The command line is wrong; `message` is one line that says how to put it right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

export const HELP = `iovad: which IO virtual addresses can the devices of this host use?

Usage: iovad [OPTION]...

  --socket PATH           listen there (default: /run/iovad/iovad.sock for root,
                          $XDG_RUNTIME_DIR/iovad.sock for others)
  --simulate FILE         serve the simulated host of a topology file
  --log-level LEVEL       trace, debug, info, warn, error, fatal or silent (default: info)
  --max-request BYTES     longest request line (default: 1048576)
  --max-connections N     connections at a time (default: 256)
  --resv-iova-ranges-ioctl 0xNNNN
                          the kernel has the proposed IOMMU_RESV_IOVA_RANGES under this number
  --version               print the version and exit
  --help                  print this help and exit

It speaks JSON-RPC 2.0, one JSON value a line:
  echo '{"jsonrpc":"2.0","id":1,"method":"query-devices"}' | socat -t5 - UNIX-CONNECT:PATH
`;

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];

/** Reads the command line. "help" and "version" want nothing but their text printed. @throws UsageError */
export function parseOptions(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  uid: number,
): Options | "help" | "version" {
  const values = parse(args);
  if (values.help) return "help";
  if (values.version) return "version";
  const logLevel = values["log-level"] ?? "info";
  if (!LOG_LEVELS.includes(logLevel)) {
    throw new UsageError(`--log-level takes one of ${LOG_LEVELS.join(", ")}`);
  }
  return {
    socket: values.socket ?? defaultSocket(environment, uid),
    logLevel,
    ...(values.simulate === undefined ? {} : { simulate: values.simulate }),
    ...count("maxRequest", "--max-request", values["max-request"], 1024, 2 ** 30),
    ...count("maxConnections", "--max-connections", values["max-connections"], 1, 100_000),
    ...resvIovaRangesIoctl(values["resv-iova-ranges-ioctl"]),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        socket: { type: "string" },
        simulate: { type: "string" },
        "log-level": { type: "string" },
        "max-request": { type: "string" },
        "max-connections": { type: "string" },
        "resv-iova-ranges-ioctl": { type: "string" },
        version: { type: "boolean" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (error) {
    // Node explains over several sentences; the first says what is wrong.
    throw new UsageError(`${(error as Error).message.split(/[.\n]/, 1)[0]}; try --help`);
  }
}

function defaultSocket({ XDG_RUNTIME_DIR }: NodeJS.ProcessEnv, uid: number): string {
  if (uid === 0) return "/run/iovad/iovad.sock";
  if (XDG_RUNTIME_DIR) return `${XDG_RUNTIME_DIR}/iovad.sock`;
  throw new UsageError("XDG_RUNTIME_DIR is not set: say where to listen with --socket PATH");
}

function count<Key extends string>(
  key: Key,
  option: string,
  text: string | undefined,
  min: number,
  max: number,
) {
  if (text === undefined) return {};
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min || value > max) {
    throw new UsageError(`${option} takes a whole number from ${min} to ${max}`);
  }
  return { [key]: value } as Record<Key, number>;
}

/** A number that mainline uses would do something else: 0x3b8b, the one of the patch, starts dirty tracking. */
function resvIovaRangesIoctl(text: string | undefined) {
  if (text === undefined) return {};
  const number = Number(text);
  if (!/^0x3b[0-9a-f]{2}$/i.test(text) || number < 0x3b80) {
    throw new UsageError("--resv-iova-ranges-ioctl takes an iommufd ioctl's number, from 0x3b80 to 0x3bff");
  }
  if (MAINLINE_IOMMUFD_IOCTLS.has(number)) {
    throw new UsageError(`--resv-iova-ranges-ioctl: mainline Linux uses ${text} for something else`);
  }
  return { resvIovaRangesIoctl: number };
}
