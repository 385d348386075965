import { isFlat } from "./last-params.ts";
import type { Request } from "./message.ts";

/** Characters: what is asked again and again is short, and each connection keeps one. */
const LONGEST = 512;
/** Of an id: with more of them a number may be another one than it says. */
const DIGITS = 15;
const ZERO = 0x30;

const NAME = '"id"';
/** Behind that name. */
const ID = /\s*:\s*(\d{1,15})[\s,}]/y;

/**
 * What a connection has asked last, and in which words. Who asks a question again and again, as clients do that watch, asks
 * in the same words, with another number as the id: to see that takes a tenth of reading the line anew.
 */
export class LastRequest {
  /** Of the line, what stands before the id and behind it. */
  #before = "";
  #after = "";
  #request: Request | undefined;
  /** What is asked for the first time may be asked once only. */
  #method: string | undefined;

  /** What the line asks, if it is the last one once more; with an id that is another whole number, maybe. */
  again(line: string): Request | undefined {
    if (this.#request === undefined) return undefined;
    const from = this.#before.length;
    const end = line.length - this.#after.length;
    if (end <= from || end - from > DIGITS || (end - from > 1 && line.charCodeAt(from) === ZERO))
      return undefined;
    let id = 0;
    for (let at = from; at < end; at++) {
      const digit = line.charCodeAt(at) - ZERO;
      if (digit < 0 || digit > 9) return undefined;
      id = 10 * id + digit;
    }
    if (!line.startsWith(this.#before) || !line.endsWith(this.#after)) return undefined;
    const { method, params } = this.#request;
    return { kind: "request", id, isAnswered: true, method, params };
  }

  /** Keeps what was read of a line, unless it is not certain what another number in it would mean. */
  keep(line: string, request: Request): void {
    const isAnother = this.#method !== request.method;
    this.#method = request.method;
    this.#request = undefined;
    if (isAnother || line.length > LONGEST || typeof request.id !== "number") return;
    if (!isFlat(request.params ?? {})) return;
    const place = placeOfId(line);
    if (!place) return;
    this.#before = copyOf(line.slice(0, place.start));
    this.#after = copyOf(line.slice(place.end));
    this.#request = request;
  }
}

/**
 * Where the id stands in the text of a request that has one, if it is a whole number. Without a backslash a name can be
 * written in one way only, and what stands there once is the request's own.
 */
function placeOfId(line: string): { start: number; end: number } | undefined {
  const name = line.indexOf(NAME);
  if (name === -1 || line.includes(NAME, name + 1) || line.includes("\\")) return undefined;
  ID.lastIndex = name + NAME.length;
  const digits = ID.exec(line)?.[1];
  if (digits === undefined) return undefined;
  const end = ID.lastIndex - 1;
  return { start: end - digits.length, end };
}

/** A part of a string keeps all of it in memory, and a line is a part of all that has come with it. */
function copyOf(text: string): string {
  return Buffer.from(text).toString();
}
