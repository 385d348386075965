import { DaemonError } from "../client/index.ts";
import { complain, UsageError, version } from "../command-line.ts";
import { suggestion } from "../nearest.ts";
import { type Cause, causesText } from "../picture/causes.ts";
import { findCommand, parseArguments } from "./arguments.ts";
import type { Command, Invocation } from "./command.ts";
import { COMMANDS } from "./commands/index.ts";
import { counted } from "./counted.ts";
import { chooseDaemon } from "./daemon.ts";
import { NoAnswer } from "./dry-run.ts";
import { exitStatusOf, isSurprise } from "./exit-status.ts";
import { inCommands } from "./in-commands.ts";
import { rangeText, type WireRange } from "./ranges.ts";
import { Output } from "./terminal/output.ts";

/** What a command line is run in. */
export interface Surroundings {
  readonly stdout: NodeJS.WriteStream;
  readonly stderr: NodeJS.WriteStream;
  readonly env: NodeJS.ProcessEnv;
  readonly piped: Invocation["piped"];
}

/** Resolves to the exit status. */
export async function run(argv: readonly string[], surroundings: Surroundings): Promise<number> {
  try {
    return await runCommand(argv, surroundings);
  } catch (error) {
    if (error instanceof NoAnswer) return 0;
    const { message } = error as Error;
    // Whoever calls methods knows them by their names.
    const isForPeople = error instanceof DaemonError && findCommand(argv).command !== "call";
    const told = isForPeople ? inCommands(message) + conflictsText(error) : message;
    complain("iovactl", isSurprise(error) ? surprise(message) : told, surroundings.stderr);
    return exitStatusOf(error);
  }
}

function surprise(message: string): string {
  return `what has come is no answer that this iovactl understands: use iovad and iovactl of one release (${message})`;
}

/** Which ranges, and whose; nothing where they have another form. */
function conflictsText(error: DaemonError): string {
  try {
    return textOfConflicts(error);
  } catch {
    return "";
  }
}

function textOfConflicts({ data }: DaemonError): string {
  const conflicts = (data.conflicts ?? []) as readonly (WireRange & { readonly causes: readonly Cause[] })[];
  const [first, ...others] = conflicts.map((each) => `${rangeText(each)} ${causesText(each.causes)}`);
  if (first === undefined) return "";
  const more = others.length > 0 ? `, and ${counted(others.length, "more range")}` : "";
  return ` (${first}${more})`;
}

async function runCommand(
  argv: readonly string[],
  { stdout, stderr, env, piped }: Surroundings,
): Promise<number> {
  const { command: name, rest } = findCommand(argv);
  if (name === undefined) return withoutCommand(rest, stdout);
  const entry = COMMANDS.find((each) => each.name === name);
  if (!entry) {
    const meant = suggestion(
      name,
      COMMANDS.map((each) => each.name),
    );
    throw new UsageError(`there is no command "${name}"${meant} (iovactl --help lists them)`);
  }
  const command: Command = await entry.load();
  const { values, args } = parseArguments(rest, command.options);
  if (values.help) {
    const { commandHelp } = await import("./help.ts");
    stdout.write(await commandHelp(entry, command));
    return 0;
  }
  if (values.version) return printVersion(stdout);
  const out = new Output(stdout, env, {
    ...(values.json !== undefined ? { json: values.json } : values.j ? { json: "auto" } : {}),
    ...(values.color === undefined ? {} : { color: values.color }),
    ...(values.output === undefined ? {} : { output: values.output }),
    noLegend: values["no-legend"] ?? false,
  });
  out.expect(await command.columns?.(args, values));
  const dryRun = values["dry-run"] ? (line: string) => out.print(line) : undefined;
  const daemon = chooseDaemon({ socket: values.socket, host: values.host, dryRun }, env);
  const invocation: Invocation = {
    ...{ args, options: values, out, errors: stderr, piped, daemon, commands: COMMANDS },
  };
  return (await command.run(invocation)) ?? 0;
}

async function withoutCommand(args: readonly string[], stdout: NodeJS.WriteStream): Promise<number> {
  const { values } = parseArguments(args, {});
  if (values.version) return printVersion(stdout);
  const { help } = await import("./help.ts");
  if (!values.help) throw new UsageError("which command? iovactl --help lists them");
  stdout.write(help());
  return 0;
}

function printVersion(stdout: NodeJS.WriteStream): number {
  stdout.write(`iovactl ${version()}\n`);
  return 0;
}
