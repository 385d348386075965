import { wrap } from "../picture/wrap.ts";
import { GLOBAL_OPTIONS } from "./arguments.ts";
import type { Command, CommandEntry, OptionDefinition, OptionDefinitions } from "./command.ts";
import { COMMANDS } from "./commands/index.ts";
import { EXIT, EXIT_SUMMARIES } from "./exit-status.ts";

/** Where lines end. */
const WIDTH = 80;
const INDENT = 26;

/** What `iovactl --help` prints. */
export function help(): string {
  return `iovactl: ask iovad which IO virtual addresses devices can use

Usage: iovactl [OPTION]... COMMAND [ARGUMENT]...

${COMMANDS.filter(({ isHidden }) => !isHidden)
  .map(({ name, summary }) => entry(name, summary))
  .join("\n")}

iovactl COMMAND --help tells more of each. Every command takes:
${optionsHelp(GLOBAL_OPTIONS)}

${wrap(`Exit status: ${exitStatuses()}.`, WIDTH).join("\n")}
`;
}

/** What `iovactl COMMAND --help` prints. */
export async function commandHelp(
  { name, synopsis, summary }: CommandEntry,
  command: Command,
): Promise<string> {
  const { options } = command;
  const own = Object.keys(options).length === 0 ? [] : [optionsHelp(options)];
  return [
    `iovactl ${name}: ${summary}`,
    `Usage: iovactl ${name}${synopsis && ` ${synopsis}`}`,
    ...own,
    ...(await detailsOf(command)).map((paragraph) => wrap(paragraph, WIDTH).join("\n")),
    "iovactl --help lists the options that every command takes.\n",
  ].join("\n\n");
}

/** Paragraphs: what it says itself, and the columns of its table. */
export async function detailsOf(command: Command): Promise<readonly string[]> {
  const columns = await command.columns?.([], {});
  const named = columns ? [`Columns for -o: ${columns.map(({ name }) => name).join(", ")}.`] : [];
  return [...(command.details ?? []), ...named];
}

function exitStatuses(): string {
  return Object.entries(EXIT_SUMMARIES)
    .map(([name, about]) => `${EXIT[name as keyof typeof EXIT]} ${about}`)
    .join("; ");
}

/** `-m, --memory SIZE`. */
export function optionForm(name: string, { short, value }: OptionDefinition): string {
  const long = short === name ? [] : [`--${name}`];
  return `${[...(short ? [`-${short}`] : []), ...long].join(", ")}${value ? ` ${value}` : ""}`;
}

function optionsHelp(options: OptionDefinitions): string {
  return Object.entries(options)
    .map(([name, option]) => entry(optionForm(name, option), option.about))
    .join("\n");
}

function entry(head: string, about: string): string {
  const margin = `\n${" ".repeat(INDENT)}`;
  const text = wrap(about, WIDTH - INDENT).join(margin);
  return head.length + 4 > INDENT ? `  ${head}${margin}${text}` : `  ${head.padEnd(INDENT - 2)}${text}`;
}
