import * as z from "zod";
import { suggestion } from "../nearest.ts";
import { quote, unknownMember } from "./errors.ts";

export const REQUIRED = "this member is required";

/** What types are called here. */
const NAMES: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "an array",
  null: "null",
};

/**
 * What was expected, in the words of this house: zod's own say less than we know, repeat the input, and may change with its
 * version. A schema that has words of its own for a fault goes before.
 */
export function expectation(issue: z.core.$ZodRawIssue): string {
  if (issue.code === "unrecognized_keys") return unknownMember(issue.keys[0] ?? "", membersOf(issue.inst));
  if (issue.input === undefined) return REQUIRED;
  switch (issue.code) {
    case "invalid_type":
      return `expected ${NAMES[issue.expected] ?? "something else"}`;
    case "invalid_value":
      return oneOf(issue.values.map(String), issue.input);
    case "too_small":
      return bound(issue.origin, "least", issue.minimum, issue.inclusive ?? true);
    case "too_big":
      return bound(issue.origin, "most", issue.maximum, issue.inclusive ?? true);
    default:
      return "this is not what is expected here";
  }
}

function membersOf(type: unknown): string[] {
  return type instanceof z.ZodObject ? Object.keys(type.shape) : [];
}

function oneOf(values: readonly string[], input: unknown): string {
  const expected =
    values.length === 1 ? `expected ${quote(values[0] ?? "")}` : `expected one of ${values.join(", ")}`;
  return typeof input === "string" ? expected + suggestion(input, values) : expected;
}

/** Lengths are counted in characters and elements. */
function bound(origin: string, side: "least" | "most", limit: number | bigint, isInclusive: boolean): string {
  if (origin === "string") return `expected at ${side} ${limit} characters`;
  if (origin === "array" || origin === "set") return `expected at ${side} ${limit} elements`;
  if (isInclusive) return `expected at ${side} ${limit}`;
  return `expected ${side === "least" ? "more" : "less"} than ${limit}`;
}
