/** One token of JSON: a string, a number, a word, or punctuation. */
const TOKEN = /\s*(?:("(?:[^"\\]|\\.)*")|(-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(true|false|null)|([{}[\]:,]))/y;

/**
 * The id in the beginning of a message that was too long to be read: the member "id" of the outermost object, when all of
 * it stands there and something behind it. Null when it does not, or is neither a string nor a number.
 */
export function topLevelId(head: string): string | number | null {
  TOKEN.lastIndex = 0;
  let depth = 0;
  /** The last two tokens, when they stand in the outermost object: a key and its colon. */
  let [key, colon] = ["", ""];
  for (let match = TOKEN.exec(head); match; match = TOKEN.exec(head)) {
    const [, text, number, , mark] = match;
    const token = match[0].trim();
    if (depth === 1 && key === '"id"' && colon === ":") return isWhole(head) ? idOf(text, number) : null;
    if (mark === "{" || mark === "[") depth++;
    else if (mark === "}" || mark === "]") depth--;
    [key, colon] = [colon, token];
    if (depth < 1 || (depth === 1 && head.trimStart()[0] === "[")) return null;
  }
  return null;
}

/** A number at the end of the head may go on behind it: `1.5e-` is the beginning of one. */
function isWhole(head: string): boolean {
  return /[\s,}\]]/.test(head.charAt(TOKEN.lastIndex));
}

function idOf(text: string | undefined, number: string | undefined): string | number | null {
  if (text !== undefined) return parsed(text) as string | null;
  const value = number === undefined ? null : (parsed(number) as number);
  return value !== null && isExact(value) ? value : null;
}

/** Whether a number can be echoed as it was sent: a larger integer has been rounded, and 1e999 is Infinity. */
export function isExact(number: number): boolean {
  return Number.isSafeInteger(number) || (Number.isFinite(number) && !Number.isInteger(number));
}

/** What is said of an id that is not. */
export const INEXACT = "if an integer one from -(2^53-1) to 2^53-1: a larger one would come back as another";

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
