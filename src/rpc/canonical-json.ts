import type { Steps } from "../ranges/steps.ts";

type Json =
  | string
  | number
  | boolean
  | null
  | readonly Json[]
  | { readonly [name: string]: Json | undefined };

/** How much text, in UTF-16 units, makes a step. */
const STEP_LENGTH = 65_536;

/**
 * The one text of a JSON value, in pieces: members sorted by their names' UTF-16 units, no blanks (RFC 8785). For what
 * goes over the wire here, all of whose numbers are integers, and whose lists are long while what they list is short.
 */
export function* canonicalJson(value: Json): Generator<string, void, undefined> {
  if (value === null || typeof value !== "object") return yield JSON.stringify(value);
  if (isList(value)) {
    for (const [index, each] of value.entries()) {
      yield index === 0 ? "[" : ",";
      if (each !== null && typeof each === "object" && isList(each)) yield* canonicalJson(each);
      else yield canonicalText(each);
    }
    return yield value.length === 0 ? "[]" : "]";
  }
  let before = "{";
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member === undefined) continue;
    yield `${before}${JSON.stringify(name)}:`;
    yield* canonicalJson(member);
    before = ",";
  }
  yield before === "{" ? "{}" : "}";
}

/** The same at once: a generator for each member of each device would take twice as long. */
function canonicalText(value: Json): string {
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  if (isList(value)) return `[${value.map(canonicalText).join()}]`;
  let text = "";
  for (const name of Object.keys(value).sort()) {
    const member = value[name];
    if (member === undefined) continue;
    text += `${text === "" ? "" : ","}${JSON.stringify(name)}:${canonicalText(member)}`;
  }
  return `{${text}}`;
}

/** SHA-256 of the canonical text, in lower-case hexadecimal. */
export function* digestOf(value: Json): Steps<string> {
  // Only who needs it loads it: it would be a tenth of the daemon's start.
  const hash = process.getBuiltinModule("node:crypto").createHash("sha256");
  let text = "";
  for (const piece of canonicalJson(value)) {
    text += piece;
    if (text.length < STEP_LENGTH) continue;
    hash.update(text);
    text = "";
    yield;
  }
  return hash.update(text).digest("hex");
}

function isList(value: object): value is readonly Json[] {
  return Array.isArray(value);
}
