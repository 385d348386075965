import type { Journal } from "../host/survival/journal.ts";
import { contentOf, FORMAT, inWords, NewRecord, READERS } from "./journal-records.ts";

/** Where bytes stay that are written, also when this process dies in the next instant. */
export interface JournalStorage {
  read(): Buffer;
  /** All of it or, when it throws, nothing. Returns how many bytes it takes. */
  append(record: NewRecord): number;
  /** Leaves nothing. */
  clear(): void;
}

/**
 * Bytes behind which it may be worth while to begin again without what holds no more. Below WINDOW of memory-file.ts: up to
 * there what is not very long is written without a system call.
 */
const LEAST = 56 * 1024;
/** How much larger a file may grow than what held when it was begun. */
const GROWTH = 4;

/**
 * The journal in two files, of which one is in use: records of what has been set, each kept whole or not at all. When it has
 * grown, what holds goes into the other one, and that one counts from when it is complete.
 */
export class JournalFile implements Journal {
  readonly #storages: readonly [JournalStorage, JournalStorage];
  readonly #later: (flush: () => void) => void;
  readonly #entries = new Map<string, string>();
  #current: JournalStorage;
  #number = 0;
  #size = 0;
  /** Beyond so many bytes the other file is begun. */
  #most = 0;
  /** What the next record will have, in words. */
  #gathered = "";
  #isTogether = false;
  /** The file in use lacks what there was no room for. */
  #isLacking = false;
  /** What is written with the next flush. */
  #behind: (() => void)[] = [];
  readonly isInherited: boolean;
  readonly problem: string | undefined;
  /** Whether the last record of an earlier life is cut short: it was never acted upon. */
  isTorn = false;

  /** `later`: when what is written behind is written at the latest. */
  constructor(
    storages: readonly [JournalStorage, JournalStorage],
    later: (flush: () => void) => void = setImmediate,
  ) {
    this.#storages = storages;
    this.#later = later;
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
    this.#set(key, text);
    this.#gathered += inWords(key, text);
    if (!this.#isTogether) this.#append();
  }

  together<T>(write: () => T): T {
    if (this.#isTogether) return write();
    this.#isTogether = true;
    try {
      const result = write();
      if (this.#gathered !== "") this.flush();
      return result;
    } finally {
      this.#isTogether = false;
      if (this.#gathered !== "") this.#append();
    }
  }

  behind(write: () => void): void {
    if (this.#behind.length === 0) this.#later(() => this.flush());
    this.#behind.push(write);
  }

  flush(): void {
    if (this.#behind.length === 0) return;
    const behind = this.#behind;
    this.#behind = [];
    this.together(() => {
      for (const write of behind) write();
    });
  }

  #append(): void {
    const record = NewRecord.ofWords(this.#gathered);
    this.#gathered = "";
    if (!this.#isLacking) {
      // Where there is no room for it all is written anew: what comes next may be about what this one has changed.
      this.#isLacking = true;
      this.#size += this.#current.append(record);
      this.#isLacking = false;
    }
    if (this.#isLacking || this.#size > this.#most) this.#begin();
  }

  /** Writes all that holds into the file that is not in use: a title and then one record. */
  #begin(): void {
    const next = this.#storages[this.#current === this.#storages[0] ? 1 : 0];
    next.clear();
    const title = NewRecord.ofTitle({ format: FORMAT, number: ++this.#number });
    let entries = "";
    for (const [key, text] of this.#entries) entries += inWords(key, text);
    const records = [title, NewRecord.EMPTY, NewRecord.ofWords(entries)];
    const size = records.reduce((sum, record) => sum + next.append(record), 0);
    this.#current.clear();
    this.#current = next;
    this.#isLacking = false;
    this.#size = size;
    this.#most = Math.max(LEAST, GROWTH * size);
  }

  #set(key: string, text: string | null): void {
    if (text === null) this.#entries.delete(key);
    else this.#entries.set(key, text);
  }

  /** Reads what an earlier life has left. Returns why it cannot, if so; there are no entries then. */
  #load(): string | undefined {
    const files = this.#storages.map((storage) => ({ storage, ...contentOf(storage.read()) }));
    // One whose first record is not complete was never in use.
    const newest = files
      .filter(({ records }) => records.length > 0)
      .sort((a, b) => (b.title?.number ?? 0) - (a.title?.number ?? 0))[0];
    if (!newest?.title) return undefined;
    const { format, number } = newest.title;
    this.#number = number;
    this.#current = newest.storage;
    const reader = READERS.get(format);
    if (!reader)
      return `the state of an earlier process has the format ${format}, and this version does not know it`;
    for (const record of newest.records) for (const [key, text] of reader(record)) this.#set(key, text);
    this.isTorn = newest.isTorn;
    return undefined;
  }
}
