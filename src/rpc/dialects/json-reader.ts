import { isUtf8 } from "node:buffer";
import { HeldBytes, headOf, type Line, NOT_UTF8, type Reader } from "../framing.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LF = 0x0a;
const BLANK = 0x20;
const OPEN = new Set([0x5b, 0x7b]);
const CLOSE = new Set([0x5d, 0x7d]);

/**
 * Cuts a byte stream into JSON values without a mark between them, as QMP's clients send them (QEMU's
 * qobject/json-streamer.c: json_message_process_token): a message ends where its outermost bracket closes. What begins with
 * no bracket is no message and ends with its line. Linear in the bytes.
 */
export class JsonReader implements Reader {
  readonly #limit: () => number;
  /** The message under way. */
  readonly #held = new HeldBytes();
  #depth = 0;
  #isInString = false;
  #isEscaped = false;
  /** What is under way is too long, and reported already. */
  #isSkipping = false;
  /** What is under way began with no bracket. */
  #isJunk = false;

  /** `limit` in bytes, asked for at every chunk. */
  constructor(limit: () => number) {
    this.#limit = limit;
  }

  get held(): number {
    return this.#held.capacity;
  }

  get isInside(): boolean {
    return this.#held.size > 0 || this.#isSkipping;
  }

  push(chunk: Buffer): Line[] {
    const lines: Line[] = [];
    let from = 0;
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      const isFirst = i === from && !this.isInside;
      if (isFirst && byte <= BLANK) from = i + 1;
      else if (isFirst) this.#isJunk = !OPEN.has(byte);
      if (from > i || !this.#ends(byte)) continue;
      this.#hold(chunk.subarray(from, i + 1), lines);
      this.#complete(lines);
      from = i + 1;
    }
    this.#hold(chunk.subarray(from), lines);
    return lines;
  }

  finish(): Line[] {
    const lines: Line[] = [];
    this.#complete(lines);
    return lines;
  }

  drop(): void {
    this.#held.drop();
  }

  /** Whether the byte is the last of what is under way. */
  #ends(byte: number): boolean {
    if (this.#isInString) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === QUOTE) this.#isInString = false;
      return false;
    }
    if (this.#isJunk) return byte === LF;
    if (byte === QUOTE) this.#isInString = true;
    else if (OPEN.has(byte)) this.#depth++;
    else if (CLOSE.has(byte)) return --this.#depth === 0;
    return false;
  }

  #hold(piece: Buffer, lines: Line[]): void {
    if (this.#isSkipping || piece.length === 0) return;
    const limit = this.#limit();
    if (this.#held.size + piece.length <= limit) {
      this.#held.add(piece);
      return;
    }
    lines.push(headOf(Buffer.concat([this.#held.bytes, piece]), limit));
    this.#held.drop();
    this.#isSkipping = true;
  }

  #complete(lines: Line[]): void {
    const { bytes } = this.#held;
    const text = isUtf8(bytes) ? bytes.toString() : NOT_UTF8;
    if (!this.#isSkipping && (text === NOT_UTF8 || text.trim() !== "")) lines.push(text);
    this.drop();
    this.#depth = 0;
    this.#isInString = this.#isEscaped = this.#isSkipping = this.#isJunk = false;
  }
}
