import { UsageError } from "../command-line.ts";
import type { Daemon } from "./command.ts";

/** @throws UsageError unless there is at least one argument. */
export function atLeastOne(args: readonly string[], what: string): readonly [string, ...string[]] {
  const [first, ...rest] = args;
  if (first === undefined) throw new UsageError(`${what} is missing; try --help`);
  return [first, ...rest];
}

/** @throws UsageError unless there is just one argument. */
export function exactlyOne(args: readonly string[], what: string): string {
  const [first, ...rest] = atLeastOne(args, what);
  noMore(rest);
  return first;
}

/** @throws UsageError */
export function noMore(args: readonly string[]): void {
  if (args.length > 0) throw new UsageError(`"${args[0]}" is one argument too many; try --help`);
}

/** @throws UsageError with --dry-run, of what asks by the answers to earlier questions: these could not be printed. */
export function answersOf({ isDry }: Daemon, what: string): void {
  if (isDry) throw new UsageError(`--dry-run: what ${what} asks goes by what it is answered`);
}
