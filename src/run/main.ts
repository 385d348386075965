#!/usr/bin/env node
import { complain, version } from "../command-line.ts";
import { runChild } from "./child.ts";
import { Daemon } from "./daemon.ts";
import { askForAll } from "./hand-over.ts";
import { HELP, parseOptions, UsageError } from "./options.ts";

/** Runs a command with devices of the daemon's. The connection, and with it the lease, lasts as long as this process. */
async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), process.pid);
  if (options === "help") process.stdout.write(HELP);
  else if (options === "version") process.stdout.write(`iovad-run ${version()}\n`);
  else {
    const daemon = connect(options.socket);
    const handedOver = askForAll(daemon, options);
    return runChild(options.command, handedOver).catch((error: NodeJS.ErrnoException) => {
      complain("iovad-run", `${options.command[0]}: ${error.code ?? error.message}`);
      return error.code === "ENOENT" ? 127 : 126;
    });
  }
  return 0;
}

function connect(path: string): Daemon {
  try {
    return Daemon.connect(path);
  } catch (error) {
    throw Object.assign(error as Error, { message: `${path}: ${(error as Error).message}` });
  }
}

main().then(
  (status) => process.exit(status),
  (error: Error) => {
    complain("iovad-run", error.message);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
