import { GLOBAL_OPTIONS } from "../ctl/arguments.ts";
import type { CommandEntry, OptionDefinitions } from "../ctl/command.ts";
import { COMMANDS } from "../ctl/commands/index.ts";
import { EXIT, EXIT_SUMMARIES } from "../ctl/exit-status.ts";
import { detailsOf, optionForm } from "../ctl/help.ts";
import { HELP as FLEET_HELP } from "../fleet/options.ts";
import { ERROR_CODES, ERROR_SUMMARIES } from "../rpc/errors.ts";
import { EVENTS } from "../rpc/events.ts";
import { METHODS } from "../rpc/methods/index.ts";
import { HELP as RUN_HELP } from "../run/options.ts";
import { ACCESS, CONFIG, ERRANDS, GENERAL, LIMIT_SETTINGS, type Setting } from "../settings.ts";
import { defined, escapeText } from "./scdoc.ts";

type Option = Pick<Setting, "name" | "value" | "about">;

/** What stands in the pages' sources as {{name}}: all that a table has. */
export async function generatedParts(): Promise<Readonly<Record<string, string>>> {
  const errands = Object.entries(ERRANDS).map(([name, about]) => ({ name, value: "", about }));
  const commands = await Promise.all(COMMANDS.filter(({ isHidden }) => !isHidden).map(commandPart));
  return {
    general: settings([...GENERAL, CONFIG, ...errands]),
    access: settings(ACCESS),
    limits: settings(LIMIT_SETTINGS),
    global: options(GLOBAL_OPTIONS),
    commands: commands.join("\n\n"),
    statuses: Object.entries(EXIT_SUMMARIES)
      .map(([name, about]) => defined(`${EXIT[name as keyof typeof EXIT]}`, "", about))
      .join("\n\n"),
    run: optionsOf(RUN_HELP),
    fleet: optionsOf(FLEET_HELP),
    methods: METHODS.map(({ name, role, summary }) => defined(name, `(${role})`, summary)).join("\n\n"),
    events: EVENTS.map(({ name, summary }) => defined(name, "", summary)).join("\n\n"),
    errors: Object.entries(ERROR_SUMMARIES)
      .map(([name, summary]) => defined(name, `(${ERROR_CODES[name as keyof typeof ERROR_CODES]})`, summary))
      .join("\n\n"),
  };
}

function settings(all: readonly Option[]): string {
  return all.map(({ name, value, about }) => defined(`--${name}`, value, about)).join("\n\n");
}

function options(all: OptionDefinitions): string {
  return Object.entries(all)
    .map(([name, option]) => {
      const { value = "" } = option;
      return defined(optionForm(name, { ...option, value: "" }), value, option.about);
    })
    .join("\n\n");
}

async function commandPart({ name, synopsis, summary, load }: CommandEntry): Promise<string> {
  const command = await load();
  const { options: own } = command;
  const parts = [
    escapeText(`${summary}.`),
    ...(await detailsOf(command)).map(escapeText),
    ...(Object.keys(own).length > 0 ? [options(own)] : []),
  ];
  return [`## ${name} ${escapeText(synopsis)}`.trimEnd(), ...parts].join("\n\n");
}

/** From the help of a program, which is its table: an option on a line, what it does behind two blanks or below. */
function optionsOf(help: string): string {
  const entries = [...help.matchAll(/^ {2}--([a-z-]+)(?: ([A-Z]+))? +(\S.*(?:\n {10,}\S.*)*)/gm)];
  return entries
    .map(([, name = "", value = "", about = ""]) => defined(`--${name}`, value, about.replace(/\s+/g, " ")))
    .join("\n\n");
}
