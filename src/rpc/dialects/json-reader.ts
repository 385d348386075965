import { isUtf8 } from "node:buffer";
import { headOf, type Line, NOT_UTF8, type Reader } from "../framing.ts";
import { HeldBytes } from "../held-bytes.ts";

const [TAB, LF, CR, BLANK] = [0x09, 0x0a, 0x0d, 0x20];
const [QUOTE, APOSTROPHE, BACKSLASH] = [0x22, 0x27, 0x5c];
const [OPEN_BRACKET, CLOSE_BRACKET, OPEN_BRACE, CLOSE_BRACE] = [0x5b, 0x5d, 0x7b, 0x7d];
/** This byte and the one behind stand in no UTF-8. */
const RESET = 0xfe;
/** Outside of strings. */
const NONE = 0;

/** What JSON has for the quotation marks that only QEMU knows. */
const [QUOTED, ESCAPED_QUOTE, ESCAPED_APOSTROPHE] = ['"', '\\"', "u0027"].map((text) => Buffer.from(text));

/** Junk begins with no bracket. Behind a byte that no message can have the reader is lost, until one may begin. */
type Place = "between" | "message" | "junk" | "lost";

/**
 * Cuts a byte stream into JSON values without a mark between them, as QMP's clients send them (QEMU's
 * qobject/json-streamer.c: json_message_process_token): a message ends where its outermost bracket closes, or one closes
 * that was not open. Junk ends where a message begins, and with its line. A byte that no message can have ends both: so a
 * client ends what it has left unfinished (docs/interop/qmp-spec.rst: Forcing the JSON parser into known-good state).
 *
 * Strings may stand in single quotes, as QEMU has it: they are held as JSON writes them. Linear in the bytes.
 */
export class JsonReader implements Reader {
  readonly #limit: () => number;
  /** The message or the junk under way. */
  readonly #held = new HeldBytes();
  #place: Place = "between";
  #braces = 0;
  #brackets = 0;
  /** What ends the string under way. */
  #quote = NONE;
  #isEscaped = false;
  /** What is under way is too long, and reported already. */
  #isSkipping = false;

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
    const hold = (to: number) => {
      this.#hold(chunk.subarray(from, to), lines);
      from = to;
    };
    for (let i = 0; i < chunk.length; i++) {
      const byte = chunk[i] as number;
      if (this.#place === "junk" && this.#quote === NONE && isOpening(byte)) {
        hold(i);
        this.#complete("between", lines);
      }
      if (!this.#isInMessage(byte)) {
        from = i + 1;
        continue;
      }
      const written = this.#asJson(byte);
      if (written) {
        hold(i);
        from = i + 1;
        this.#hold(written, lines);
      }
      const place = this.#behind(byte);
      if (place === this.#place) continue;
      hold(i + 1);
      this.#complete(place, lines);
    }
    hold(chunk.length);
    return lines;
  }

  finish(): Line[] {
    const lines: Line[] = [];
    this.#complete("between", lines);
    return lines;
  }

  drop(): void {
    this.#held.drop();
  }

  /** Whether the byte belongs to a message or to junk, be it the first one. */
  #isInMessage(byte: number): boolean {
    if (this.#place === "lost" && (isOpening(byte) || (isNoText(byte) && byte !== TAB)))
      this.#place = "between";
    if (this.#place === "between" && !isSpace(byte)) this.#place = isOpening(byte) ? "message" : "junk";
    return this.#place === "message" || this.#place === "junk";
  }

  #asJson(byte: number): Buffer | undefined {
    if (byte === APOSTROPHE) {
      if (this.#isEscaped) return ESCAPED_APOSTROPHE;
      return this.#quote === QUOTE ? undefined : QUOTED;
    }
    return byte === QUOTE && this.#quote === APOSTROPHE && !this.#isEscaped ? ESCAPED_QUOTE : undefined;
  }

  /** The place behind a byte of what is under way; another one when it ends with that. */
  #behind(byte: number): Place {
    if (isNoText(byte) && (this.#quote !== NONE || !isSpace(byte))) return "lost";
    if (this.#quote !== NONE) {
      if (this.#isEscaped) this.#isEscaped = false;
      else if (byte === BACKSLASH) this.#isEscaped = true;
      else if (byte === this.#quote) this.#quote = NONE;
      return this.#place;
    }
    if (byte === QUOTE || byte === APOSTROPHE) this.#quote = byte;
    else if (byte === OPEN_BRACE) this.#braces++;
    else if (byte === OPEN_BRACKET) this.#brackets++;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) return this.#behindClosing(byte);
    return byte === LF && this.#place === "junk" ? "between" : this.#place;
  }

  #behindClosing(byte: number): Place {
    if (byte === CLOSE_BRACE) this.#braces--;
    else this.#brackets--;
    const isOpen = this.#braces >= 0 && this.#brackets >= 0 && this.#braces + this.#brackets > 0;
    return isOpen ? this.#place : "between";
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

  #complete(place: Place, lines: Line[]): void {
    const { bytes } = this.#held;
    if (bytes.length > 0) lines.push(isUtf8(bytes) ? bytes.toString() : NOT_UTF8);
    this.drop();
    this.#place = place;
    this.#braces = this.#brackets = 0;
    this.#quote = NONE;
    this.#isEscaped = this.#isSkipping = false;
  }
}

function isOpening(byte: number): boolean {
  return byte === OPEN_BRACE || byte === OPEN_BRACKET;
}

/** Control characters, and what is no part of any UTF-8. */
function isNoText(byte: number): boolean {
  return byte < BLANK || byte >= RESET;
}

function isSpace(byte: number): boolean {
  return byte === BLANK || byte === TAB || byte === CR || byte === LF;
}
