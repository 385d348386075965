import type { Journal } from "../host/survival/journal.ts";
import type { LoggedEvent } from "./event-log.ts";

/** Bytes of events that are kept for a later life: enough for who was behind when this one ended. */
const BYTES = 256 * 1024;

const PREFIX = "event ";

interface Kept {
  readonly key: string;
  readonly size: number;
}

/** The last events, in the journal: who subscribes after a restart goes on where it was. */
export class KeptEvents {
  readonly #journal: Journal;
  /** Keys and sizes, oldest first; those before `#first` have been taken out. */
  #kept: Kept[] = [];
  #first = 0;
  #bytes = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
    for (const [key, entry] of journal.entries) if (key.startsWith(PREFIX)) this.#note(key, entry);
  }

  /** Those of an earlier life, oldest first. */
  read(): Pick<LoggedEvent, "method" | "text">[] {
    return this.#kept.slice(this.#first).flatMap(({ key }) => {
      const entry = this.#journal.entries.get(key) ?? "";
      const at = entry.indexOf(" ");
      return at < 0 ? [] : [{ method: entry.slice(0, at), text: entry.slice(at + 1) }];
    });
  }

  add({ sequence, method, text }: Pick<LoggedEvent, "sequence" | "method" | "text">): void {
    const key = `${PREFIX}${sequence}`;
    const entry = `${method} ${text}`;
    this.#journal.put(key, entry);
    this.#note(key, entry);
    this.#forget();
  }

  #note(key: string, entry: string): void {
    this.#kept.push({ key, size: entry.length });
    this.#bytes += entry.length;
  }

  /** The last one stays, however long it is: by it the next life knows the sequence. */
  #forget(): void {
    while (this.#bytes > BYTES && this.#first < this.#kept.length - 1) {
      const oldest = this.#kept[this.#first++] as Kept;
      this.#bytes -= oldest.size;
      this.#journal.put(oldest.key, null);
    }
    if (this.#first < this.#kept.length / 2) return;
    this.#kept = this.#kept.slice(this.#first);
    this.#first = 0;
  }
}
