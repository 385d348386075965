import { readFileSync } from "node:fs";
import { nearest } from "./nearest.ts";

/** What the commands have in common on a terminal. */

/** Of the package that both belong to. */
export function version(): string {
  return JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version;
}

/** One line on standard error, whatever the message is made of. */
export function complain(
  command: string,
  message: string,
  stream: Pick<NodeJS.WriteStream, "write"> = process.stderr,
): void {
  stream.write(`${command}: ${message.replace(/\s*\n\s*/g, " ")}\n`);
}

/**
 * The same arguments; what looks like an option, and is the value of one, stands in one word with it, as parseArgs wants
 * it. `takesValue`: whether the option of a name does; `value`: what no option is called.
 */
export function joinValues(
  args: readonly string[],
  takesValue: (option: string) => boolean,
  value: RegExp,
): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const before = joined.at(-1);
    if (before?.startsWith("--") && takesValue(before.slice(2)) && value.test(arg))
      joined[joined.length - 1] = `${before}=${arg}`;
    else joined.push(arg);
  }
  return joined;
}

/**
 * What is wrong with a command line, from what parseArgs has thrown: Node explains over several sentences, the first says
 * it, and one how to give an argument that begins with a dash. `options`: names that an unknown one may have been meant
 * for.
 */
export function faultOf(error: unknown, options: Iterable<string> = []): string {
  const { message } = error as Error;
  const unknown = /^Unknown option '--([^' =]+)/.exec(message)?.[1];
  const meant = unknown === undefined ? undefined : nearest(unknown, options);
  if (meant !== undefined) return `there is no option --${unknown}; did you mean --${meant}?`;
  const remedy = /use '[^']*'/.exec(message)?.[0] ?? "try --help";
  return `${message.split(/[.\n]/, 1)[0]}; ${remedy}`;
}

/** The command line is wrong; `message` is one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
