import { findCommand, GLOBAL_OPTIONS } from "./arguments.ts";
import type { CommandEntry, OptionDefinitions } from "./command.ts";
import { chooseDaemon } from "./daemon.ts";
import { SHELLS } from "./shell-completion.ts";

/** What arguments of a synopsis stand for. */
const DEVICE = /DEVICE/;
const IOAS = /IOAS/;

/** The words that may stand where the last of `words` does. Of a daemon that does not answer there are none. */
export async function wordsFor(
  words: readonly string[],
  commands: readonly CommandEntry[],
): Promise<string[]> {
  const current = words.at(-1) ?? "";
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
  if (current.startsWith("-")) {
    return Object.keys(options)
      .filter((option) => option.length > 1)
      .map((option) => `--${option}`);
  }
  const value = valueAfter(before.at(-1), options);
  if (value !== undefined) return value.includes("|") ? value.split("|") : live(before, "", value);
  if (!entry) return commands.filter(({ isHidden }) => !isHidden).map((each) => each.name);
  if (name === "completion") return [...SHELLS];
  if (command?.words) return rest.some((word) => command.words?.includes(word)) ? [] : [...command.words];
  return live(before, entry.name, entry.synopsis);
}

/** What the value of an option stands for: `a|b` for one of them; undefined where the word before is no such option. */
function valueAfter(word: string | undefined, options: OptionDefinitions): string | undefined {
  const found = Object.entries(options).find(
    ([name, { short }]) => word === `--${name}` || (short !== undefined && word === `-${short}`),
  );
  return found?.[1].type === "string" ? (found[1].value ?? "") : undefined;
}

/** Names that only the daemon knows. */
async function live(before: readonly string[], name: string, synopsis: string): Promise<string[]> {
  const daemon = chooseDaemon(
    {
      socket: givenWith(before, "-s", "--socket"),
      host: givenWith(before, "-H", "--host"),
      dryRun: undefined,
    },
    process.env,
  );
  try {
    const client = await daemon.connect();
    const found: string[] = [];
    if (DEVICE.test(synopsis))
      found.push(...(await client.call("query-devices")).devices.map(({ device }) => device));
    if (IOAS.test(synopsis)) {
      found.push(...(await client.call("query-ioas")).ioas.map(({ context, ioas }) => `${context}/${ioas}`));
    }
    if (name === "call" || name === "schema")
      found.push(...(await client.call("query-commands")).commands.map((each) => each.name));
    await client.close();
    return found;
  } catch {
    return [];
  }
}

function givenWith(words: readonly string[], ...options: readonly string[]): string | undefined {
  const at = words.findIndex((word) => options.includes(word));
  return at < 0 ? undefined : words[at + 1];
}
