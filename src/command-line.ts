import { fstatSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { nearest } from "./nearest.ts";

/** What the commands have in common on a terminal. */

/** Of the package that both belong to. */
export function version(): string {
  return JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8")).version;
}

/**
 * What a terminal obeys instead of showing it, or what makes a text read as another: control characters, C1's among them,
 * other ends of lines, and the marks of bidirectional text.
 */
export const UNSHOWABLE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/** As long as the text: what others say is not theirs to do with a terminal, nor to begin lines on it. */
export function showable(text: string): string {
  return text.replaceAll(UNSHOWABLE, "?");
}

/** One line on standard error, whatever the message is made of. */
export function complain(
  command: string,
  message: string,
  stream: Pick<NodeJS.WriteStream, "write"> = process.stderr,
): void {
  stream.write(`${command}: ${showable(message.replace(/\s*\n\s*/g, " "))}\n`);
}

/**
 * Standard output, which all that is written to reaches, or else the process does not end as if it had: a reader that goes,
 * as head does, ends it without a word, for nothing is left to be done then; anything else is said, with status 1, or what
 * `write` throws. Of what goes into a file Node.js writes as much as there is room for, and says nothing of the rest
 * (lib/internal/fs/sync_write_stream.js).
 */
export function standardOutput(command: string): NodeJS.Process["stdout"] {
  const { stdout } = process;
  const status = fstatSync(1);
  if (!stdout.isTTY && (status.isFile() || status.isCharacterDevice())) {
    return { write: writeAll } as unknown as NodeJS.Process["stdout"];
  }
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    complain(command, unwritable(error));
    process.exit(1);
  });
  return stdout;
}

function writeAll(text: string, done?: () => void): boolean {
  const bytes = Buffer.from(text);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(1, bytes, at);
  } catch (error) {
    throw new Error(unwritable(error as Error));
  }
  done?.();
  return true;
}

function unwritable({ message }: Error): string {
  return `the output cannot be written: ${message}`;
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
