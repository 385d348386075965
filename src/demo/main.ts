import { connect } from "../client/index.ts";
import { complain, UsageError } from "../command-line.ts";
import { converse } from "./conversation.ts";
import { ended, startDaemon } from "./daemon.ts";
import { type DemoOptions, HELP, parseOptions } from "./options.ts";

const print = (line = "") => process.stdout.write(`${line}\n`);

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help") {
    process.stdout.write(HELP);
    return 0;
  }
  if (options === "fleet") {
    const { demonstrateFleet } = await import("./fleet.ts");
    return demonstrateFleet(print);
  }
  return demonstrate(options);
}

async function demonstrate(options: DemoOptions): Promise<number> {
  const daemon = await startDaemon(options);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => daemon.kill("SIGTERM"));
  const client = await connect(options);
  print(`iovad serves a simulated ${options.host} host.`);
  await converse(client, print);
  await client.close();
  if (options.once) daemon.kill("SIGTERM");
  else
    print(`The daemon stays up. From another terminal:

  echo '{"jsonrpc":"2.0","id":1,"method":"query-devices"}' | socat -t5 - UNIX-CONNECT:${options.socket}

Ctrl-C ends it.`);
  return ended(daemon);
}

// Who reads the output may go, as head does: nothing is left to be done then.
process.stdout.on("error", () => process.exit(0));
main().then(
  (status) => process.exit(status),
  (error: Error) => {
    complain("demo", error.message);
    process.exit(error instanceof UsageError ? 2 : 1);
  },
);
