import { type Client, connect } from "../client/index.ts";
import { usualSocket } from "../client/usual-socket.ts";
import { UsageError } from "../command-line.ts";
import type { Daemon } from "./command.ts";
import { DryRun } from "./dry-run.ts";

export interface DaemonChoice {
  readonly socket: string | undefined;
  /** As ssh takes it. */
  readonly host: string | undefined;
  /** Prints a request instead of sending it. */
  readonly dryRun: ((line: string) => void) | undefined;
}

/** The daemon that the command line and the environment name. Nothing is connected until a command asks. @throws UsageError */
export function chooseDaemon({ socket, host, dryRun }: DaemonChoice, env: NodeJS.ProcessEnv): Daemon {
  if (socket === "") throw new UsageError("-s takes the path of the daemon's socket");
  if (host === "") throw new UsageError("-H takes a host, as ssh does");
  const path = socket ?? usualSocket(env);
  const via = host === undefined ? undefined : remote(host, socket);
  const endpoint = { socket: host ?? path, ...(via ? { via } : {}) };
  let client: Promise<Client> | undefined;
  const open = async (reconnect: boolean) =>
    dryRun ? (new DryRun(dryRun) as unknown as Client) : connect({ ...endpoint, reconnect });
  return {
    place: endpoint.socket,
    via,
    isDry: dryRun !== undefined,
    connect() {
      client ??= open(false);
      return client;
    },
    connectForGood: () => open(true),
  };
}

/** BatchMode is left to the user's configuration: ssh may ask for a password, on the terminal. */
function remote(host: string, socket: string | undefined): [string, ...string[]] {
  const place = socket === undefined ? [] : ["-s", shellQuoted(socket)];
  return ["ssh", "-T", "--", host, "iovactl", ...place, "proxy"];
}

/** ssh gives its arguments to a shell of the other host. */
function shellQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
