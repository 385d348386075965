import { crc32 } from "node:zlib";
import type { Journal } from "../host/survival/journal.ts";

/** Where bytes stay that are written, also when this process dies in the next instant. */
export interface JournalStorage {
  read(): Buffer;
  append(bytes: Buffer): void;
  /** Leaves nothing. */
  clear(): void;
}

/** The version of the format, and what reads each version: those of releases before this one stay. */
const FORMAT = 1;
const READERS: ReadonlyMap<number, (record: unknown) => readonly Pair[]> = new Map([
  [1, (record) => record as readonly Pair[]],
]);

/** An entry that is set, or taken out. */
type Pair = readonly [key: string, text: string | null];

/** Before each record: its length in bytes and its CRC-32, little-endian. */
const HEAD = 8;
/** Bytes behind which it may be worth while to begin again without what holds no more. */
const LEAST = 256 * 1024;
/** How much larger than what holds a file may grow. */
const GROWTH = 4;

/** The first record of a file. */
interface Title {
  readonly format: number;
  /** The file with the greater one is the newer. */
  readonly number: number;
}

/**
 * The journal in two files, of which one is in use: records of what has been set, each kept whole or not at all. When it has
 * grown, what holds goes into the other one, and that one counts from when it is complete.
 */
export class JournalFile implements Journal {
  readonly #storages: readonly [JournalStorage, JournalStorage];
  readonly #entries = new Map<string, string>();
  #current: JournalStorage;
  #number = 0;
  #size = 0;
  /** Bytes that the entries take. */
  #live = 0;
  #gathered: Pair[] | undefined;
  readonly isInherited: boolean;
  readonly problem: string | undefined;
  /** Whether the last record of an earlier life is cut short: it was never acted upon. */
  isTorn = false;

  constructor(storages: readonly [JournalStorage, JournalStorage]) {
    this.#storages = storages;
    this.#current = storages[0];
    this.problem = this.#load();
    this.isInherited = this.#entries.size > 0;
    // What an earlier life has left ends in a torn record, or grows by this one's: both begin a new file.
    this.#begin();
  }

  get entries(): ReadonlyMap<string, string> {
    return this.#entries;
  }

  put(key: string, text: string | null): void {
    if (text === null && !this.#entries.has(key)) return;
    this.#set([key, text]);
    if (this.#gathered) this.#gathered.push([key, text]);
    else this.#append([[key, text]]);
  }

  together<T>(write: () => T): T {
    if (this.#gathered) return write();
    this.#gathered = [];
    try {
      return write();
    } finally {
      const gathered = this.#gathered;
      this.#gathered = undefined;
      if (gathered.length > 0) this.#append(gathered);
    }
  }

  #append(pairs: readonly Pair[]): void {
    const record = recordOf(pairs);
    this.#current.append(record);
    this.#size += record.length;
    if (this.#size > Math.max(LEAST, GROWTH * this.#live)) this.#begin();
  }

  #set([key, text]: Pair): void {
    const before = this.#entries.get(key);
    if (before !== undefined) this.#live -= key.length + before.length;
    if (text === null) this.#entries.delete(key);
    else {
      this.#entries.set(key, text);
      this.#live += key.length + text.length;
    }
  }

  /** Writes all that holds into the file that is not in use: a title and then one record. */
  #begin(): void {
    const next = this.#storages[this.#current === this.#storages[0] ? 1 : 0];
    const title: Title = { format: FORMAT, number: ++this.#number };
    const bytes = Buffer.concat([recordOf(title), recordOf([...this.#entries])]);
    next.clear();
    next.append(bytes);
    this.#current.clear();
    this.#current = next;
    this.#size = bytes.length;
  }

  /** Reads what an earlier life has left. Returns why it cannot, if so; there are no entries then. */
  #load(): string | undefined {
    const files = this.#storages.map((storage) => {
      const { records, isTorn } = recordsIn(storage.read());
      const [title, ...rest] = records as [Title?, ...unknown[]];
      return { storage, title, rest, isTorn };
    });
    // One whose first record is not complete was never in use.
    const newest = files
      .filter(({ rest }) => rest.length > 0)
      .sort((a, b) => (b.title?.number ?? 0) - (a.title?.number ?? 0))[0];
    if (!newest?.title) return undefined;
    const { format, number } = newest.title;
    this.#number = number;
    this.#current = newest.storage;
    const reader = READERS.get(format);
    if (!reader)
      return `the state of an earlier process has the format ${format}, and this version does not know it`;
    for (const record of newest.rest) for (const pair of reader(record)) this.#set(pair);
    this.isTorn = newest.isTorn;
    return undefined;
  }
}

/** In one buffer, which nobody fills with zeros first: there are several records in every attach. */
function recordOf(value: unknown): Buffer {
  const text = JSON.stringify(value);
  const record = Buffer.allocUnsafe(HEAD + Buffer.byteLength(text));
  record.write(text, HEAD);
  const body = record.subarray(HEAD);
  record.writeUInt32LE(body.length, 0);
  record.writeUInt32LE(crc32(body), 4);
  return record;
}

/** The records up to the first that is not whole. */
function recordsIn(bytes: Buffer): { records: unknown[]; isTorn: boolean } {
  const records: unknown[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + HEAD > bytes.length) return { records, isTorn: true };
    const length = bytes.readUInt32LE(at);
    const body = bytes.subarray(at + HEAD, at + HEAD + length);
    if (body.length < length || crc32(body) !== bytes.readUInt32LE(at + 4)) return { records, isTorn: true };
    records.push(JSON.parse(body.toString()));
    at += HEAD + length;
  }
  return { records, isTorn: false };
}
