/** A text whose arrays and objects are nested too deep. */
export class TooDeep extends Error {}

export const QUOTE = 0x22;
const BACKSLASH = 0x5c;
export const OPEN_BRACKET = 0x5b;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;

/**
 * True when the arrays and objects of a JSON text are nested at most `limit` deep. JSON.parse itself takes a million
 * levels, and then whatever walks the value recursively overflows the stack. Says nothing about text that is no JSON.
 */
export function nestsWithin(text: string, limit: number): boolean {
  // Every level takes two characters, so nearly all requests are cleared by their length.
  if (text.length <= 2 * limit) return true;
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case OPEN_BRACKET:
      case OPEN_BRACE:
        if (++depth > limit) return false;
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        depth--;
        break;
      case QUOTE:
        i = closingQuote(text, i + 1);
        break;
    }
  }
  return true;
}

/** Where the string ends whose text starts at `from`; the text's length when it does not end. */
export function closingQuote(text: string, from: number): number {
  for (let i = from; i < text.length; i++) {
    const character = text.charCodeAt(i);
    if (character === QUOTE) return i;
    if (character === BACKSLASH) i++;
  }
  return text.length;
}
