import { isAscii, isUtf8 } from "node:buffer";
import { HeldBytes } from "./held-bytes.ts";

/** Stands for a line longer than the limit, whose bytes are gone but for the first few. */
export interface TooLong {
  readonly head: string;
}
/** Stands for a line that is not valid UTF-8. */
export const NOT_UTF8 = Symbol("a line that is not UTF-8");

/** Cuts a byte stream into messages. How the stream is cut into chunks changes nothing. */
export interface Reader {
  /** Bytes that are kept for the message under way, the room for more of it included. */
  readonly held: number;
  /** Whether a message has begun and not ended. */
  readonly isInside: boolean;
  /** The messages that `chunk` completes, and a TooLong for the one it makes too long. */
  push(chunk: Buffer): Line[];
  /** At the end of the stream: what lacks its end. */
  finish(): Line[];
  /** Forgets the message under way. */
  drop(): void;
}

/** One line of the stream without its terminator, or what stands for it. */
export type Line = string | TooLong | typeof NOT_UTF8;

/**
 * How much of a line that is not read is looked at for its id: of one that is too long, in bytes. 4 KiB, and one behind, which
 * tells whether an id that ends there is whole.
 */
export const HEAD = 4096 + 1;

const LF = 0x0a;
const CR = 0x0d;

/**
 * Cuts a byte stream into lines. How the stream is cut into chunks changes nothing: neither the lines, nor the cost,
 * which is linear in the bytes.
 *
 * Lines end in LF or CRLF. Blank lines mean nothing and are left out. A line is too long when more than `limit` bytes
 * stand before that; it is reported as soon as that is known and the rest of it is skipped without being stored.
 */
export class LineReader implements Reader {
  readonly #limit: () => number;
  /** The line under way. */
  readonly #held = new HeldBytes();
  #skipping = false;

  /** `limit` in bytes, asked for at every line. */
  constructor(limit: () => number) {
    this.#limit = limit;
  }

  /** Bytes that are kept for the line under way, the room for more of it included. */
  get held(): number {
    return this.#held.capacity;
  }

  /** Whether a line has begun and not ended. */
  get isInside(): boolean {
    return this.#held.size > 0 || this.#skipping;
  }

  /** Forgets the line under way. */
  drop(): void {
    this.#held.drop();
  }

  /** The lines that `chunk` completes, and a TooLong for the one it makes too long. */
  push(chunk: Buffer): Line[] {
    const lines: Line[] = [];
    const last = chunk.lastIndexOf(LF);
    if (last >= 0) this.#pushLines(chunk.subarray(0, last), lines);
    if (last + 1 < chunk.length) this.#hold(chunk.subarray(last + 1), lines);
    return lines;
  }

  /** At the end of the stream: the last line, when it lacks its terminator. */
  finish(): Line[] {
    const lines: Line[] = [];
    this.#complete(lines);
    return lines;
  }

  /** Lines, the last without its LF; the first continues what is held. */
  #pushLines(body: Buffer, lines: Line[]): void {
    if (!this.isInside) {
      this.#decodeMany(body, lines);
      return;
    }
    const first = body.indexOf(LF);
    this.#hold(first === -1 ? body : body.subarray(0, first), lines);
    this.#complete(lines);
    if (first >= 0) this.#decodeMany(body.subarray(first + 1), lines);
  }

  #hold(piece: Buffer, lines: Line[]): void {
    if (this.#skipping || piece.length === 0) return;
    const limit = this.#limit();
    if (this.#held.size + lengthOf(piece, limit - this.#held.size) <= limit) {
      this.#held.add(piece);
      return;
    }
    lines.push(headOf(Buffer.concat([this.#held.bytes, piece]), limit));
    this.#held.drop();
    this.#skipping = true;
  }

  #complete(lines: Line[]): void {
    if (!this.#skipping) decode(this.#held.bytes, lines);
    this.#held.drop();
    this.#skipping = false;
  }

  /** Whole lines, the last without its LF. Decoding them at once costs a fraction of decoding them one by one. */
  #decodeMany(body: Buffer, lines: Line[]): void {
    const text = body.length <= this.#limit() ? textOf(body) : undefined;
    if (text !== undefined) {
      for (const line of text.split("\n")) accept(line, lines);
      return;
    }
    for (let from = 0; from <= body.length; ) {
      const lf = body.indexOf(LF, from);
      const to = lf === -1 ? body.length : lf;
      const [line, limit] = [body.subarray(from, to), this.#limit()];
      if (lengthOf(line, limit) > limit) lines.push(headOf(line, limit));
      else decode(line, lines);
      from = to + 1;
    }
  }
}

/** How long the bytes are; a CR just behind the room there is belongs to the end of the line, if to anything. */
function lengthOf(bytes: Buffer, room: number): number {
  return bytes.length === room + 1 && bytes[room] === CR ? room : bytes.length;
}

/** No more than is kept in any case, so that the cutting into chunks makes no difference. */
export function headOf(bytes: Buffer, limit: number): TooLong {
  return { head: bytes.toString("utf8", 0, Math.min(HEAD, limit)) };
}

function decode(bytes: Buffer, lines: Line[]): void {
  const text = textOf(bytes);
  if (text === undefined) lines.push(NOT_UTF8);
  else accept(text, lines);
}

/** Undefined when it is not UTF-8. Of ASCII, as nearly all is, a string is made in half the time. */
function textOf(bytes: Buffer): string | undefined {
  if (isAscii(bytes)) return bytes.toString("latin1");
  return isUtf8(bytes) ? bytes.toString("utf8") : undefined;
}

function accept(text: string, lines: Line[]): void {
  const line = text.charCodeAt(text.length - 1) === CR ? text.slice(0, -1) : text;
  if (!isBlank(line)) lines.push(line);
}

/** Nothing but what JSON takes for white space. */
function isBlank(line: string): boolean {
  // Almost every line starts with a brace or a bracket, both above the blank.
  return !(line.charCodeAt(0) > 0x20) && /^[ \t\r]*$/.test(line);
}
