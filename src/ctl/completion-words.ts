import type { Client } from "../client/index.ts";
import { findCommand, GLOBAL_OPTIONS } from "./arguments.ts";
import type { CommandEntry, OptionDefinition, OptionDefinitions } from "./command.ts";
import { chooseDaemon } from "./daemon.ts";
import { EVENT_OPTION } from "./event-line.ts";
import { SHELLS } from "./shell-completion.ts";
import type { Columns } from "./terminal/table.ts";

/** An option and the beginning of its value in one word. */
const JOINED = /^(--[a-z-]+=)(.*)$/;

/** The words that may stand where the last of `words` does. Of a daemon that does not answer there are none. */
export async function wordsFor(
  words: readonly string[],
  commands: readonly CommandEntry[],
): Promise<string[]> {
  const current = words.at(-1) ?? "";
  const [, option, value] = JOINED.exec(current) ?? [];
  if (option !== undefined && value !== undefined) {
    const separate = await wordsFor([...words.slice(0, -1), option.slice(0, -1), value], commands);
    return separate.map((word) => option + word);
  }
  const candidates = await candidatesFor(words.slice(0, -1), current, commands);
  const matches = (all: readonly string[]) => all.filter((word) => word.startsWith(current)).sort();
  const full = matches(candidates);
  // As lspci prints it, a device is in domain 0000.
  return full.length > 0 ? full : matches(candidates.map((word) => word.replace(/^0000:/, "")));
}

async function candidatesFor(
  before: readonly string[],
  current: string,
  commands: readonly CommandEntry[],
): Promise<string[]> {
  const { command: name, rest } = findCommand(before);
  const entry = commands.find((each) => each.name === name);
  const command = await entry?.load();
  const options: OptionDefinitions = { ...GLOBAL_OPTIONS, ...command?.options };
  const option = optionNamed(before.at(-1), options);
  if (option?.type === "string") {
    if (option === options.output)
      return columnWords(current, await command?.columns?.(positionals(rest, options), {}));
    const { value = "", words = value.includes("|") ? value.split("|") : undefined } = option;
    return words ? [...words] : live(before, value);
  }
  if (current.startsWith("-")) {
    return Object.keys(options)
      .filter((option) => option.length > 1)
      .map((option) => `--${option}`);
  }
  if (!entry) return commands.filter(({ isHidden }) => !isHidden).map((each) => each.name);
  if (name === "completion") return [...SHELLS];
  if (command?.words) return rest.some((word) => command.words?.includes(word)) ? [] : [...command.words];
  return live(before, entry.synopsis);
}

function optionNamed(word: string | undefined, options: OptionDefinitions): OptionDefinition | undefined {
  const found = Object.entries(options).find(
    ([name, { short }]) => word === `--${name}` || (short !== undefined && word === `-${short}`),
  );
  return found?.[1];
}

/** The words that are neither options nor their values. */
function positionals(words: readonly string[], options: OptionDefinitions): string[] {
  return words.filter(
    (word, at) => !word.startsWith("-") && optionNamed(words[at - 1], options)?.type !== "string",
  );
}

/** Of a list with commas the last is completed. */
function columnWords(current: string, columns: Columns): string[] {
  const before = current.slice(0, current.lastIndexOf(",") + 1);
  return (columns ?? []).map(({ name }) => before + name);
}

/** What stands for names that only the daemon knows, and how it is asked for them. */
const NAMES: readonly (readonly [RegExp, (client: Client) => Promise<string[]>])[] = [
  [/DEVICE/, async (client) => (await client.call("query-devices")).devices.map(({ device }) => device)],
  [
    /IOAS/,
    async (client) => (await client.call("query-ioas")).ioas.map(({ context, ioas }) => `${context}/${ioas}`),
  ],
  [
    /^CONTEXT$/,
    async (client) => (await client.call("query-contexts")).contexts.map(({ context }) => context),
  ],
  [/METHOD/, async (client) => (await client.call("query-commands")).commands.map(({ name }) => name)],
];

/** Names for what stands in a synopsis. */
async function live(before: readonly string[], synopsis: string): Promise<string[]> {
  const asked = NAMES.flatMap(([pattern, ask]) => (pattern.test(synopsis) ? ask : []));
  const found = /EVENT/.test(synopsis) ? [...EVENT_OPTION.event.words] : [];
  if (asked.length === 0) return found;
  const socket = givenWith(before, "-s", "--socket");
  const host = givenWith(before, "-H", "--host");
  try {
    const client = await chooseDaemon({ socket, host, dryRun: undefined }, process.env).connect();
    for (const ask of asked) found.push(...(await ask(client)));
    await client.close();
  } catch {}
  return found;
}

function givenWith(words: readonly string[], ...options: readonly string[]): string | undefined {
  const at = words.findIndex((word) => options.includes(word));
  return at < 0 ? undefined : words[at + 1];
}
