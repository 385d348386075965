import type { Steps } from "../ranges/steps.ts";
import {
  CLOSE_BRACE,
  CLOSE_BRACKET,
  closingQuote,
  OPEN_BRACE,
  OPEN_BRACKET,
  QUOTE,
  TooDeep,
} from "./nesting.ts";

const COMMA = 0x2c;
const BLANK = /^[ \t\n\r]*$/;

/** Characters from which on a line is worth it: fewer are parsed in some milliseconds. */
export const LARGE = 64 * 1024;

/** Characters of a part: what JSON.parse makes of so many in a millisecond, or two. */
const PART = 16 * 1024;

/**
 * What JSON.parse makes of a text, in steps: a line of a mebibyte can hold 300,000 values, and to make room for those takes
 * V8 a quarter of a second in which nobody else is served. The text is cut at commas, and JSON.parse makes each part. Whether
 * it is JSON is for JSON.parse to say: if all parts are, between brackets that match, so is the whole.
 * @param levels how deep arrays and objects may be nested
 * @param part how many characters a part has at least; it ends at the next comma
 * @throws SyntaxError when it is not JSON; TooDeep
 */
export function* parseInSteps(text: string, levels: number, part = PART): Steps<unknown> {
  const outermost = new Open(text, -1, true);
  const open = [outermost];
  let made = 0;
  /** A bracket has closed, and no comma has come since: no other opens there, or a mebibyte of `[]` were one step. */
  let hasClosed = false;
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        at = closingQuote(text, at + 1);
        break;
      case OPEN_BRACKET:
      case OPEN_BRACE:
        if (hasClosed) throw notJson();
        if (open.length > levels) throw new TooDeep();
        open.push(new Open(text, at, text.charCodeAt(at) === OPEN_BRACKET));
        break;
      case CLOSE_BRACKET:
      case CLOSE_BRACE:
        if (open.length === 1) throw notJson();
        hasClosed = true;
        if (open.pop()?.close(at)) open.at(-1)?.closeInner(at);
        break;
      case COMMA:
        if (open.length === 1) throw notJson();
        hasClosed = false;
        open.at(-1)?.next(at);
        if (at - made < part) break;
        for (let i = 0; i < open.length; i++) open[i]?.make(open[i + 1]);
        made = at;
        yield;
    }
  }
  if (open.length > 1) throw notJson();
  return outermost.only();
}

/** An array or an object that has begun and not ended. Most end before anything is made of them: they are in a part of another. */
class Open {
  readonly #text: string;
  /** Where its bracket stands. */
  readonly #at: number;
  readonly #isArray: boolean;
  /** What is made of it so far, if it is made on its own; and from where on nothing is. */
  #value: unknown[] | Record<string, unknown> | undefined;
  #from: number;
  /** Where the element begins that stands last so far. */
  #last: number;
  /** That element is made on its own, and has ended. */
  #isInnerOver = false;

  constructor(text: string, at: number, isArray: boolean) {
    this.#text = text;
    this.#at = at;
    this.#isArray = isArray;
    this.#from = this.#last = at + 1;
  }

  /** A comma. */
  next(at: number): void {
    if (this.#isInnerOver) this.#passBlank(at);
    this.#last = at + 1;
  }

  /** Makes its elements but the last, and begins with that if it is `inner`. */
  make(inner: Open | undefined): void {
    if (this.#last > this.#from) this.#add(this.#parse(this.#text.slice(this.#from, this.#last - 1)));
    this.#from = Math.max(this.#from, this.#last);
    this.#value ??= this.#isArray ? [] : {};
    if (!inner || inner.#value) return;
    // What stands before it: a name and a colon, or nothing.
    const [name = 0] = Object.keys(this.#parse(`${this.#text.slice(this.#from, inner.#at)}[]`));
    inner.#value = inner.#isArray ? [] : {};
    this.#set(this.#isArray ? (this.#value as unknown[]).length : name, inner.#value);
  }

  /** Its end. Returns whether it is made on its own. */
  close(at: number): boolean {
    if (!this.#value) return false;
    if (this.#isArray !== (this.#text.charCodeAt(at) === CLOSE_BRACKET)) throw notJson();
    if (this.#isInnerOver) this.#passBlank(at);
    else this.#add(this.#parse(this.#text.slice(this.#from, at)));
    return true;
  }

  /** The end of its last element, which is made on its own. */
  closeInner(at: number): void {
    this.#isInnerOver = true;
    this.#from = at + 1;
  }

  /** At the end of the text: of the outermost its one element. */
  only(): unknown {
    if (!this.#isInnerOver) return JSON.parse(this.#text);
    this.#passBlank(this.#text.length);
    return (this.#value as unknown[])[0];
  }

  /** Behind what is made on its own nothing may stand before the next comma, or bracket. */
  #passBlank(at: number): void {
    if (!BLANK.test(this.#text.slice(this.#from, at))) throw notJson();
    this.#from = at + 1;
    this.#isInnerOver = false;
  }

  /** One element at least. */
  #parse(elements: string): unknown[] | Record<string, unknown> {
    const made = JSON.parse(this.#isArray ? `[${elements}]` : `{${elements}}`);
    if (BLANK.test(elements)) throw notJson();
    return made;
  }

  #add(made: unknown[] | Record<string, unknown>): void {
    if (!this.#value) this.#value = made;
    else if (Array.isArray(made)) for (const element of made) (this.#value as unknown[]).push(element);
    else for (const name of Object.keys(made)) this.#set(name, made[name]);
  }

  #set(name: string | number, value: unknown): void {
    // As JSON.parse has it, a member of that name is one like any other.
    if (name !== "__proto__") (this.#value as Record<string | number, unknown>)[name] = value;
    else {
      Object.defineProperty(this.#value, name, {
        value,
        writable: true,
        enumerable: true,
        configurable: true,
      });
    }
  }
}

function notJson(): SyntaxError {
  return new SyntaxError("the text is not JSON");
}
