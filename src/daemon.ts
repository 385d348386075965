import { capture } from "./capture.ts";
import { complain, standardOutput, version } from "./command-line.ts";
import { help } from "./help.ts";
import { parseOptions } from "./options.ts";
import { serve } from "./serve.ts";

// For the code cache.
export { SystemCallError } from "./kernel/kernel.ts";
export { leave, rehearse } from "./rehearsal.ts";

/** The command `iovad`. Exit status: 0 after a signal, 1 when it cannot serve, 2 for a wrong command line. */
export async function main(args: readonly string[]): Promise<void> {
  try {
    await run(args);
  } catch (error) {
    for (const line of linesOf(error as Failure)) complain("iovad", line);
    process.exit((error as Failure).problems ? 2 : 1);
  }
}

async function run(args: readonly string[]): Promise<void> {
  const parse = () => parseOptions(args, process.env, process.geteuid?.() ?? -1);
  const options = parse();
  if (options === "help") print(help());
  else if (options === "version") print(`iovad ${version()}\n`);
  else if (options === "check-config") return;
  else if (options.errand === "capture") print(await capture(options));
  else await serve(options, () => parse() as typeof options);
}

function print(text: string): void {
  standardOutput("iovad").write(text);
}

interface Failure extends Error {
  /** Of a wrong command line. */
  readonly problems?: readonly string[];
  readonly code?: string;
}

function linesOf({ problems, code, message }: Failure): readonly string[] {
  if (problems) return problems;
  return [
    code === "EMFILE"
      ? "too few open files are allowed to start (ulimit -n); 256 are enough for a few clients"
      : message,
  ];
}
