import { parseArgs } from "node:util";
import { USUAL_SOCKET } from "../client/usual-socket.ts";
import { faultOf, joinValues, UsageError } from "../command-line.ts";
import type { OptionDefinitions, Values } from "./command.ts";

/** The options that every command takes. */
export const GLOBAL_OPTIONS = {
  socket: {
    type: "string",
    short: "s",
    value: "PATH",
    about: `where iovad listens (default: ${USUAL_SOCKET})`,
  },
  host: {
    type: "string",
    short: "H",
    value: "USER@HOST",
    about: "ask the iovad of another host, over ssh and the iovactl there",
  },
  j: {
    type: "boolean",
    short: "j",
    about: "print the daemon's own JSON: --json=pretty on a terminal, --json=short in a pipe",
  },
  json: { type: "string", value: "pretty|short|off", about: "print the daemon's own JSON, or no JSON" },
  output: {
    type: "string",
    short: "o",
    value: "COLUMNS",
    about: "the columns of the table, by name, with commas",
  },
  "no-legend": { type: "boolean", about: "print no headings" },
  color: {
    type: "string",
    value: "auto|always|never",
    about: "colour; auto is on a terminal where NO_COLOR is not set",
  },
  "dry-run": { type: "boolean", about: "print the request as a line for socat, and send nothing" },
  help: { type: "boolean", short: "h", about: "print a help and exit" },
  version: { type: "boolean", about: "print the version and exit" },
} as const satisfies OptionDefinitions;

export type GlobalValues = Values<typeof GLOBAL_OPTIONS>;

/** Splits a command line at its command, whichever options stand before. */
export function findCommand(args: readonly string[]): {
  command: string | undefined;
  rest: readonly string[];
} {
  const takesValue = (option: string) =>
    Object.entries(GLOBAL_OPTIONS).some(
      ([name, { type, ...more }]) =>
        type === "string" && (option === `--${name}` || ("short" in more && option === `-${more.short}`)),
    );
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] as string;
    if (!arg.startsWith("-") || arg === "-") {
      return { command: arg, rest: [...args.slice(0, at), ...args.slice(at + 1)] };
    }
    if (takesValue(arg)) at++;
  }
  return { command: undefined, rest: args };
}

/** As messages end, and as they are looked up: -22, -EINVAL. No option is called so, and parseArgs would take it for one. */
const ERRNO = /^-(\d+|E[A-Z]+)$/;

/** @throws UsageError */
export function parseArguments(args: readonly string[], own: OptionDefinitions) {
  const options: OptionDefinitions = { ...GLOBAL_OPTIONS, ...own };
  try {
    const { values, positionals } = parseArgs({
      args: joinValues(args, (name) => options[name]?.type === "string", ERRNO),
      options,
      allowPositionals: true,
    });
    return { values: values as GlobalValues & Values<OptionDefinitions>, args: positionals };
  } catch (error) {
    throw new UsageError(faultOf(error, Object.keys(options)));
  }
}
