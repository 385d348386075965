import { readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { faultOf, UsageError } from "../command-line.ts";

export interface DemoOptions {
  readonly host: string;
  /** The topology file of the host. */
  readonly topology: string;
  readonly socket: string;
  /** Whether the daemon ends with the conversation. */
  readonly once: boolean;
}

const HOSTS = fileURLToPath(new URL("../../src/demo/hosts/", import.meta.url));
const NAMES = readdirSync(HOSTS)
  .filter((file) => file.endsWith(".json"))
  .map((file) => file.slice(0, -".json".length))
  .sort();

export const HELP = `npm run demo: iovad's main job on a simulated host, each request with its answer

Usage: npm run demo -- [OPTION]...

  --host HOST        which host to simulate: ${NAMES.join(", ")} (default: intel)
  --once             end when the conversation is over; without it the daemon stays up, to be asked more
  --socket PATH      where the daemon listens (default: iovad-demo.sock in the directory for temporary files)
  --fleet            six simulated hosts, and what they have in common; ends by itself
  --help             print this help and exit
`;

/** @throws UsageError */
export function parseOptions(args: readonly string[]): DemoOptions | "help" | "fleet" {
  const { fleet, help, host, once, socket } = parse(args);
  if (help) return "help";
  if (fleet) return "fleet";
  if (!NAMES.includes(host)) {
    throw new UsageError(`there is no simulated host "${host}": choose one of ${NAMES.join(", ")}`);
  }
  return { host, topology: join(HOSTS, `${host}.json`), socket, once };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        host: { type: "string", default: "intel" },
        once: { type: "boolean", default: false },
        socket: { type: "string", default: join(tmpdir(), "iovad-demo.sock") },
        fleet: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    }).values;
  } catch (error) {
    throw new UsageError(faultOf(error));
  }
}
