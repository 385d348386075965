import { lazily } from "../lazily.ts";
import { viewOf } from "../libc/mapped-window.ts";

/** An entry that is set, or with null taken out. */
export type Pair = readonly [key: string, text: string | null];

/** The first record of a file, in JSON whatever the format. */
export interface Title {
  readonly format: number;
  /** The file with the greater one is the newer. */
  readonly number: number;
}

/**
 * The version of the format that is written. Records of the first are JSON, and its programs parse all records before they
 * look at the format: so that these do not fail at a file of this one, it has a record of theirs, and then such as they take
 * for torn.
 */
export const FORMAT = 2;

/** What reads each version: those of releases before this one stay. */
export const READERS: ReadonlyMap<number, (record: Buffer) => Iterable<Pair>> = new Map([
  [1, (record: Buffer): Iterable<Pair> => JSON.parse(record.toString())],
  [2, pairsOf],
]);

/** Most daemons have no journal, and it takes a millisecond to load. */
const zlib = lazily(() => process.getBuiltinModule("node:zlib"));

/** Before each record: its length in bytes and its CRC-32, little-endian. */
export const HEAD = 8;
/** From the second format on, each bit of the CRC is the other one. */
const ALL_BITS = 0xffff_ffff;
/** Bytes that a unit of UTF-16 takes at most in UTF-8. */
const MOST = 3;

/** A pair as a record of this format has it: the lengths of key and text, in units of UTF-16, and then both. */
export function inWords(key: string, text: string | null): string {
  return text === null ? `${key.length} -1 ${key}` : `${key.length} ${text.length} ${key}${text}`;
}

/** A record that is yet to be written. */
export class NewRecord {
  /** For programs of the first format. */
  static readonly EMPTY = new NewRecord("[]", 0);
  readonly #text: string;
  readonly #mask: number;

  private constructor(text: string, mask: number) {
    this.#text = text;
    this.#mask = mask;
  }

  static ofTitle(title: Title): NewRecord {
    return new NewRecord(JSON.stringify(title), 0);
  }

  /** Of pairs in words, one behind the other. */
  static ofWords(words: string): NewRecord {
    return new NewRecord(words, ALL_BITS);
  }

  /** Bytes that it takes at most. */
  get most(): number {
    return HEAD + MOST * this.#text.length;
  }

  /** Bytes that it takes; to count them costs as much as to write them. */
  get size(): number {
    return HEAD + Buffer.byteLength(this.#text);
  }

  /**
   * Returns how many bytes it has taken. It is there with its length, which comes last. `view`: of the same bytes.
   */
  write(bytes: Buffer, at: number, view: DataView = viewOf(bytes)): number {
    const length = bytes.write(this.#text, at + HEAD);
    // Of a text of some hundred characters Node.js makes a copy first, with malloc: half of what a record costs.
    const body = bytes.subarray(at + HEAD, at + HEAD + length);
    view.setUint32(at + 4, zlib().crc32(body) ^ this.#mask, true);
    view.setUint32(at, length, true);
    return HEAD + length;
  }
}

/** What a file has, up to the first record that is not whole, or to where nothing but zeros follows. */
export function contentOf(bytes: Buffer): {
  title: Title | undefined;
  records: Buffer[];
  isTorn: boolean;
} {
  const records: Buffer[] = [];
  let title: Title | undefined;
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at);
    const length = rest.length < HEAD ? 0 : rest.readUInt32LE(0);
    if (length === 0 && rest.equals(Buffer.alloc(rest.length))) break;
    // Zeros with something behind them: no record is without a length and without a CRC.
    if (rest.length < HEAD || rest.readBigUInt64LE(0) === 0n) return { title, records, isTorn: true };
    const body = rest.subarray(HEAD, HEAD + length);
    const mask = (zlib().crc32(body) ^ rest.readUInt32LE(4)) >>> 0;
    if (body.length < length || (mask !== 0 && mask !== ALL_BITS)) return { title, records, isTorn: true };
    if (title === undefined) title = JSON.parse(body.toString());
    else if (mask === ALL_BITS || title?.format !== FORMAT) records.push(body);
    at += HEAD + length;
  }
  return { title, records, isTorn: false };
}

/** What inWords() has made of each. */
function* pairsOf(record: Buffer): Generator<Pair> {
  const all = record.toString();
  const number = /(\d+) (-1|\d+) /y;
  for (let at = 0; at < all.length; ) {
    number.lastIndex = at;
    const [head = "", keyLength, textLength] = number.exec(all) ?? [];
    const text = at + head.length + Number(keyLength);
    const end = textLength === "-1" ? text : text + Number(textLength);
    yield [all.slice(at + head.length, text), textLength === "-1" ? null : all.slice(text, end)];
    at = end;
  }
}
