#!/usr/bin/env node
import { complain, standardOutput, UsageError, version } from "../command-line.ts";
import { refuseDebugger } from "../debugger.ts";
import { HELP, parseOptions } from "./options.ts";

refuseDebugger();
process.stderr.on("error", () => {});

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2));
  if (options === "help" || options === "version") {
    standardOutput("iovad-fleet").write(options === "help" ? HELP : `iovad-fleet ${version()}\n`);
    return 0;
  }
  const { run } = await import("./run.ts");
  return run(options);
}

process.exitCode = await main().catch((error: Error) => {
  complain("iovad-fleet", error.message);
  return error instanceof UsageError ? 2 : 1;
});
// Whatever may still be open, nothing is left to be done.
process.stderr.write("", () => process.exit());
