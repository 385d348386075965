import type { z } from "zod";
import { invalidParams, quote } from "./errors.ts";
import type { ParamsType } from "./method.ts";

/** How many faults one message lists; a list of a million bad ranges has a million. */
const FAULT_LIMIT = 3;

/**
 * Params by name, checked and decoded; absent ones are an empty object.
 * @throws JSONRPCErrorException -32602 that names the members at fault and what was expected of them
 */
export function parseParams<Params extends ParamsType>(schema: Params, params: unknown): z.output<Params> {
  if (Array.isArray(params)) throw invalidParams("expected an object: params are given by name");
  const parsed = schema.safeParse(params ?? {});
  if (parsed.success) return parsed.data;
  // Our own wording only for what has failed: it makes every parse ten times as dear.
  const issues = schema.safeParse(params ?? {}, { error: expectation }).error?.issues ?? [];
  const faults = issues.slice(0, FAULT_LIMIT).map(describe);
  const more = issues.length - faults.length;
  throw invalidParams(faults.join("; ") + (more > 0 ? `; and ${more} more` : ""));
}

function describe(issue: z.core.$ZodIssue): string {
  return issue.path.length === 0 ? issue.message : `${memberPath(issue.path)}: ${issue.message}`;
}

/** `ranges[2].start`. Names that are not the schema's own come from the client. */
function memberPath(path: readonly PropertyKey[]): string {
  return path
    .map((key, depth) => {
      if (typeof key === "number") return `[${key}]`;
      const name = String(key);
      const plain = /^[\w-]{1,64}$/.test(name) ? name : quote(name);
      return depth === 0 ? plain : `.${plain}`;
    })
    .join("");
}

/** zod's own messages, except where they repeat the input or say less than we know. */
function expectation(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === "unrecognized_keys") {
    const names = issue.keys.slice(0, FAULT_LIMIT).map(quote).join(", ");
    return `unknown member${issue.keys.length === 1 ? "" : "s"} ${names}${issue.keys.length > FAULT_LIMIT ? ", …" : ""}`;
  }
  if (issue.input === undefined) return "this member is required";
  return undefined;
}
