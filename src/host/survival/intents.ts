import { type Intent, read } from "./entries.ts";
import type { Journal } from "./journal.ts";

/** What was under way when an earlier life ended: it has happened, or it has not, or in part. */
export class Intents {
  readonly #journal: Journal;
  readonly #all: readonly (readonly [about: string, Intent])[];

  constructor(journal: Journal) {
    this.#journal = journal;
    this.#all = [...read(journal, "under-way")].sort(([a], [b]) => Number(a) - Number(b));
  }

  get isEmpty(): boolean {
    return this.#all.length === 0;
  }

  /** Those to do this, or one of these, in the order in which they were begun. */
  to<O extends Intent["operation"]>(...operations: readonly O[]): Extract<Intent, { operation: O }>[] {
    const isOne = (intent: Intent): intent is Extract<Intent, { operation: O }> =>
      operations.some((each) => each === intent.operation);
    return this.#all.flatMap(([, intent]) => (isOne(intent) ? [intent] : []));
  }

  /** The devices that something was under way with. */
  devices(): string[] {
    return this.#all.flatMap(([, intent]) => ("device" in intent ? [intent.device] : []));
  }

  /** They are settled, and no later life is to find them. */
  forget(): void {
    this.#journal.together(() => {
      for (const [about] of this.#all) this.#journal.put(`under-way ${about}`, null);
    });
  }
}
