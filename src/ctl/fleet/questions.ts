import type { OptionDefinitions, Values } from "../command.ts";
import { find } from "../commands/find.ts";
import { GUEST_OPTIONS } from "../guest.ts";
import type { Output } from "../terminal/output.ts";
import type { Columns } from "../terminal/table.ts";
import { FLEET_OPTIONS, WANT_OPTION } from "./options.ts";

const { ioas: _, ...FIND_OPTIONS } = find.options;

export { FIND_OPTIONS };

/** What any of the questions may take. */
export const QUESTION_OPTIONS = {
  ...FLEET_OPTIONS,
  ...WANT_OPTION,
  ...GUEST_OPTIONS,
  ...FIND_OPTIONS,
} as const;

/** What a question about a fleet is asked with. */
export interface Question {
  /** What stands behind the question's name. */
  readonly args: readonly string[];
  readonly options: Values<typeof QUESTION_OPTIONS>;
  readonly out: Output;
  readonly errors: NodeJS.WriteStream;
}

/** One question about a fleet. */
export interface Answering {
  /** What it takes beside which fleet it is about. */
  readonly options: OptionDefinitions;
  /** Of its table, for -o. */
  readonly columns?: Columns;
  /** Resolves to the exit status. */
  answer(question: Question): Promise<number>;
}
