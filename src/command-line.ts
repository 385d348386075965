import { readFileSync } from "node:fs";

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
 * What is wrong with a command line, from what parseArgs has thrown: Node explains over several sentences, the first says
 * it, and one how to give an argument that begins with a dash, as an errno does.
 */
export function faultOf(error: unknown): string {
  const { message } = error as Error;
  const remedy = /use '[^']*'/.exec(message)?.[0] ?? "try --help";
  return `${message.split(/[.\n]/, 1)[0]}; ${remedy}`;
}

/** The command line is wrong; `message` is one line. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}
