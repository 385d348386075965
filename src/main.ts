#!/usr/bin/env node
import { refuseDebugger } from "./debugger.ts";

// Before all that takes time.
refuseDebugger();
process.on("SIGUSR2", () => {});

/** Exit status: 0 after a signal, 1 when it cannot serve, 2 for a wrong command line. */
async function main(): Promise<void> {
  const { parseOptions } = await import("./options.ts");
  const parse = () => parseOptions(process.argv.slice(2), process.env, process.geteuid?.() ?? -1);
  const options = parse();
  if (options === "help") process.stdout.write((await import("./help.ts")).HELP);
  else if (options === "version") {
    const { version } = await import("./command-line.ts");
    process.stdout.write(`iovad ${version()}\n`);
  } else if (options === "check-config") return;
  else if (options.errand === "capture") {
    const { capture } = await import("./capture.ts");
    await capture(options);
  } else {
    const { serve } = await import("./serve.ts");
    await serve(options, () => parse() as typeof options);
  }
}

main().catch((error: Error & { problems?: readonly string[]; code?: string }) => {
  const lines = error.problems ?? [
    error.code === "EMFILE"
      ? "too few open files are allowed to start (ulimit -n); 256 are enough for a few clients"
      : error.message,
  ];
  for (const line of lines) process.stderr.write(`iovad: ${line.replace(/\s*\n\s*/g, " ")}\n`);
  process.exit(error.problems ? 2 : 1);
});
