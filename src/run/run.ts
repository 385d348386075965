import { type Client, connect, DaemonError } from "../client/index.ts";
import { complain, standardOutput, UsageError, version } from "../command-line.ts";
import { startChild, statusOf } from "./child.ts";
import { SETPRIV } from "./death-signal.ts";
import { askForAll } from "./hand-over.ts";
import { HELP, parseOptions, type RunOptions } from "./options.ts";
import type { Signals } from "./signals.ts";

/**
 * Runs a command with devices of the daemon's, and resolves to the exit status. The connection, and with it the lease,
 * lasts as long as this process. Never rejects.
 */
export async function run(args: readonly string[], signals: Signals): Promise<number> {
  try {
    const options = parseOptions(args, process);
    if (options !== "help" && options !== "version") return await runCommand(options, signals);
    standardOutput("iovad-run").write(options === "help" ? HELP : `iovad-run ${version()}\n`);
    return 0;
  } catch (error) {
    complain("iovad-run", textOf(error as Error));
    return error instanceof UsageError ? 2 : 1;
  }
}

async function runCommand(options: RunOptions, signals: Signals): Promise<number> {
  let hasBegun = false;
  const client = await letIn(options, () => hasBegun);
  const handedOver = await askForAll(client, options);
  if (handedOver.isSimulated) {
    complain("iovad-run", "iovad simulates its host: the descriptors are placeholders that answer no ioctl");
  }
  try {
    const child = startChild(options, handedOver);
    signals.forwardTo(child);
    hasBegun = true;
    watch();
    return await statusOf(child);
  } catch (error) {
    complain("iovad-run", inability(error as NodeJS.ErrnoException, options));
    return (error as NodeJS.ErrnoException).code === "ENOENT" ? 127 : 126;
  }
}

/** From here on nothing of its own ends this process before the command ends. */
function watch(): void {
  process.on("uncaughtException", ({ message }) => {
    complain("iovad-run", `internal fault, the command goes on: ${message}`);
  });
}

/** A daemon that is restarted finds its client again, and the context goes on, if the command `hasBegun` by then. */
async function letIn({ socket, context }: RunOptions, hasBegun: () => boolean): Promise<Client> {
  const connectionLost = ({ message }: Error) => {
    // What is under way fails, and says so.
    if (!hasBegun()) return client.destroy();
    complain(
      "iovad-run",
      `${message}; the command goes on, and the lease of context "${context}" when it is back`,
    );
  };
  const leaseLost = (_context: string, { message }: Error) =>
    complain("iovad-run", `${message}; the lease of context "${context}" has ended, the command goes on`);
  const options = { socket, descriptors: true, reconnect: true, connectionLost, leaseLost };
  const client = await connect(options).catch((error: Error) => {
    throw error instanceof DaemonError ? new Error(`${socket}: ${textOf(error)}`) : error;
  });
  void client.closed.then((reason) => {
    // Another try does not mend it.
    if (reason && hasBegun())
      complain("iovad-run", `${textOf(reason)}; the lease of context "${context}" ends, the command goes on`);
  });
  return client;
}

function textOf(error: Error): string {
  return error instanceof DaemonError && error.class ? `${error.class}: ${error.message}` : error.message;
}

function inability({ code, message, path }: NodeJS.ErrnoException, { command }: RunOptions): string {
  if (path === SETPRIV) return `--pdeathsig takes ${SETPRIV}, of util-linux, which cannot be run: ${code}`;
  return `${command[0]}: ${code ?? message}`;
}
