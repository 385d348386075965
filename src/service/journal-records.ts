import { lazily } from "../lazily.ts";

/** An entry that is set, or with null taken out. */
export type Pair = readonly [key: string, text: string | null];

/** The first record of a file, in JSON whatever the format. */
export interface Title {
  readonly format: number;
  /** The file with the greater one is the newer. */
  readonly number: number;
}

/** The version of the format that is written. */
export const FORMAT = 2;

/** What reads each version: those of releases before this one stay. */
export const READERS: ReadonlyMap<number, (record: Buffer) => Iterable<Pair>> = new Map([
  [1, (record: Buffer): Iterable<Pair> => JSON.parse(record.toString())],
  [2, pairsOf],
]);

/** Most daemons have no journal, and it takes a millisecond to load. */
const zlib = lazily(() => process.getBuiltinModule("node:zlib"));

/** Before each record: its length in bytes and its CRC-32, little-endian. */
const HEAD = 8;
/** Bytes that a unit of UTF-16 takes at most in UTF-8. */
const MOST = 3;

/** A record that is yet to be written. */
export class NewRecord {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  static ofTitle(title: Title): NewRecord {
    return new NewRecord(JSON.stringify(title));
  }

  static ofPairs(pairs: Iterable<Pair>): NewRecord {
    let all = "";
    for (const [key, text] of pairs)
      all += text === null ? `${key.length} -1 ${key}` : `${key.length} ${text.length} ${key}${text}`;
    return new NewRecord(all);
  }

  /** Bytes that it takes at most. */
  get most(): number {
    return HEAD + MOST * this.#text.length;
  }

  /** Returns how many bytes it has taken. It is there with its length, which comes last. */
  write(bytes: Buffer, at: number): number {
    const length = bytes.write(this.#text, at + HEAD);
    bytes.writeUInt32LE(zlib().crc32(this.#text), at + 4);
    bytes.writeUInt32LE(length, at);
    return HEAD + length;
  }
}

/** The records up to the first that is not whole, or to where nothing but zeros follows: no record is empty. */
export function recordsIn(bytes: Buffer): { records: Buffer[]; isTorn: boolean } {
  const records: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const rest = bytes.subarray(at);
    if (rest[0] === 0 && rest.equals(Buffer.alloc(rest.length))) break;
    if (at + HEAD > bytes.length) return { records, isTorn: true };
    const length = bytes.readUInt32LE(at);
    const body = bytes.subarray(at + HEAD, at + HEAD + length);
    if (body.length < length || zlib().crc32(body) !== bytes.readUInt32LE(at + 4))
      return { records, isTorn: true };
    records.push(body);
    at += HEAD + length;
  }
  return { records, isTorn: false };
}

/** Each pair is the lengths of its key and its text, in units of UTF-16, and then both. */
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
