import { type Intent, read, write } from "./entries.ts";
import type { Journal } from "./journal.ts";

/** A later life does it in the order in which it was begun. */
const isCompleted = ({ operation }: Intent) => operation === "attach" || operation === "detach";

/** What is under way, as the journal has it. */
export class UnderWay {
  readonly #journal: Journal;
  #count = 0;

  constructor(journal: Journal) {
    this.#journal = journal;
    // What an earlier life has left is not to be taken for this one's.
    for (const [about] of read(journal, "under-way")) this.#count = Math.max(this.#count, Number(about));
  }

  /** Notes what is about to begin. The function that is returned notes its end; called again, it does nothing. */
  begin(intent: Intent): () => void {
    const about = ++this.#count;
    const note = () => write(this.#journal, "under-way", about, intent);
    if (isCompleted(intent)) note();
    // With all that is behind: what was answered before is not to be completed against what this makes of the kernel.
    else this.#journal.together(note);
    return () => write(this.#journal, "under-way", about, null);
  }

  /** As begin(), for a call that waits for nothing: what it changes and its end are kept in one piece. */
  during<T>(intent: Intent, call: () => T): T {
    const end = this.begin(intent);
    return this.#journal.together(() => {
      try {
        return call();
      } finally {
        end();
      }
    });
  }
}
