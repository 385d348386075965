import type { Client } from "../client/index.ts";
import type { Output } from "./terminal/output.ts";
import type { Columns } from "./terminal/table.ts";

/** One option of a command: for the parser, `--help`, the man page and completion alike. */
export interface OptionDefinition {
  readonly type: "string" | "boolean";
  readonly short?: string;
  /** May be given several times. */
  readonly multiple?: true;
  /** What stands for the value in the help; of a string only. */
  readonly value?: string;
  /** The words that it may begin with, where there are few and the value does not name them. */
  readonly words?: readonly string[];
  readonly about: string;
}

export type OptionDefinitions = Readonly<Record<string, OptionDefinition>>;

type ValueOf<Option extends OptionDefinition> = Option["type"] extends "boolean"
  ? boolean
  : Option extends { multiple: true }
    ? readonly string[]
    : string;

/** The options that were given. */
export type Values<Options extends OptionDefinitions> = {
  readonly [Name in keyof Options]?: ValueOf<Options[Name]>;
};

/** What a command is run with. */
export interface Invocation<Options extends OptionDefinitions = OptionDefinitions> {
  /** What stands on the command line beside options, the command's name left out. */
  readonly args: readonly string[];
  readonly options: Values<Options>;
  readonly out: Output;
  /** Standard error. */
  readonly errors: NodeJS.WriteStream;
  /** What was piped in; undefined when nothing was. */
  piped(): Promise<string | undefined>;
  /** Where the daemon is, and how it is asked. */
  readonly daemon: Daemon;
  /** All there are, this one among them. */
  readonly commands: readonly CommandEntry[];
}

export interface Daemon {
  /** The path of its socket, or the other host. */
  readonly place: string;
  /** A program that speaks for the daemon, instead of its socket. */
  readonly via: readonly [string, ...string[]] | undefined;
  /** Whether requests are printed, and none is answered. */
  readonly isDry: boolean;
  /** Connects once, the first time; with --dry-run, to what only prints the requests. */
  connect(): Promise<Client>;
  /** A connection that comes back when the daemon does. */
  connectForGood(): Promise<Client>;
}

/** One command, all there is to know about it. */
export interface Command<Options extends OptionDefinitions = OptionDefinitions> {
  readonly options: Options;
  /** For `--help` and the man page, beside the summary: paragraphs. */
  readonly details?: readonly string[];
  /** What its first argument may be, where that is a word of few. */
  readonly words?: readonly string[];
  /** Of the table that -o is about, as the command line asks for it; none where it prints no table. */
  columns?(args: readonly string[], options: Values<Options>): Columns | Promise<Columns> | undefined;
  /** Resolves to the exit status; 0 when to nothing. */
  run(invocation: Invocation<Options>): Promise<number | undefined>;
}

/** What is known of a command before it is loaded: each is, only when it is run. */
export interface CommandEntry {
  readonly name: string;
  /** Its arguments; its options stand with it. */
  readonly synopsis: string;
  readonly summary: string;
  /** Of use to programs alone. */
  readonly isHidden?: true;
  load(): Promise<Command>;
}

/** Ties the values to their definitions. */
export function defineCommand<const Options extends OptionDefinitions>(
  command: Command<Options>,
): Command<Options> {
  return command;
}
