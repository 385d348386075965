/**
 * What is to be sent, in one string or in pieces. To make a string of some megabytes takes tens of milliseconds in which
 * everybody waits, so nothing puts a large text together: it is made, kept and sent in pieces.
 */
export type Text = string | readonly string[];

/** UTF-16 units. */
export function lengthOf(text: Text): number {
  return typeof text === "string" ? text.length : text.reduce((sum, piece) => sum + piece.length, 0);
}

/** For texts that are not large. */
export function whole(text: Text): string {
  return typeof text === "string" ? text : text.join("");
}

/** `text` between two short ones. */
export function enclose(before: string, text: Text, after: string): Text {
  return typeof text === "string" ? `${before}${text}${after}` : [before, ...text, after];
}
