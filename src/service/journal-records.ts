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
/** Before each pair: the lengths of its key and its text in bytes, little-endian. */
const PAIR_HEAD = 8;
/** The length of a text that is none. */
const NONE = 0xffff_ffff;

/** Bytes that a character of a string takes at most in UTF-8: a unit of UTF-16 is one of three, or half of one of four. */
const MOST = 3;

/** Writes records into one buffer: there are several in every attach. */
export class RecordWriter {
  #bytes = Buffer.allocUnsafeSlow(4096);

  /** The record of pairs; good until the next one is written. */
  pairs(pairs: readonly Pair[]): Buffer {
    let most = HEAD;
    for (const [key, text] of pairs) most += PAIR_HEAD + MOST * (key.length + (text?.length ?? 0));
    const bytes = this.#room(most);
    let at = HEAD;
    for (const [key, text] of pairs) {
      const keyLength = bytes.write(key, at + PAIR_HEAD);
      const textLength = text === null ? 0 : bytes.write(text, at + PAIR_HEAD + keyLength);
      bytes.writeUInt32LE(keyLength, at);
      bytes.writeUInt32LE(text === null ? NONE : textLength, at + 4);
      at += PAIR_HEAD + keyLength + textLength;
    }
    return sealed(bytes.subarray(0, at));
  }

  #room(size: number): Buffer {
    if (size > this.#bytes.length) this.#bytes = Buffer.allocUnsafeSlow(2 * size);
    return this.#bytes;
  }
}

export function titleRecord(title: Title): Buffer {
  return sealed(Buffer.concat([Buffer.alloc(HEAD), Buffer.from(JSON.stringify(title))]));
}

function sealed(record: Buffer): Buffer {
  const body = record.subarray(HEAD);
  record.writeUInt32LE(body.length, 0);
  record.writeUInt32LE(zlib().crc32(body), 4);
  return record;
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

function* pairsOf(record: Buffer): Generator<Pair> {
  for (let at = 0; at < record.length; ) {
    const text = at + PAIR_HEAD + record.readUInt32LE(at);
    const length = record.readUInt32LE(at + 4);
    const end = length === NONE ? text : text + length;
    yield [
      record.toString("utf8", at + PAIR_HEAD, text),
      length === NONE ? null : record.toString("utf8", text, end),
    ];
    at = end;
  }
}
