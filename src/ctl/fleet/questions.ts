import type { Values } from "../command.ts";
import { find } from "../commands/find.ts";
import { GUEST_OPTIONS } from "../guest.ts";
import type { Output } from "../terminal/output.ts";
import { FLEET_OPTIONS } from "./options.ts";

const { ioas: _, ...FIND_OPTIONS } = find.options;

/** What any of the questions may take. */
export const QUESTION_OPTIONS = { ...FLEET_OPTIONS, ...GUEST_OPTIONS, ...FIND_OPTIONS } as const;

/** What a question about a fleet is asked with. */
export interface Question {
  /** What stands behind the question's name. */
  readonly args: readonly string[];
  readonly options: Values<typeof QUESTION_OPTIONS>;
  readonly out: Output;
  readonly errors: NodeJS.WriteStream;
}

/** Resolves to the exit status. */
export type Answering = (question: Question) => Promise<number>;
