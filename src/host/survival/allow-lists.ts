import { NamedRanges } from "../../ranges/named-ranges.ts";
import type { Loss, Tell } from "../changes.ts";
import { allowRanges } from "../contexts/allow-list.ts";
import type { Contexts } from "../contexts/contexts.ts";
import type { Ioas } from "../contexts/ioas.ts";
import { HostError } from "../errors.ts";
import { type Intent, toNamedRanges } from "./entries.ts";
import type { UnderWay } from "./under-way.ts";

export interface AllowListsParts {
  readonly contexts: Contexts;
  readonly underWay: UnderWay;
  readonly tell: Tell;
  readonly lose: (loss: Loss) => void;
}

type AllowIntent = Extract<Intent, { operation: "allow" }>;

/** Allow lists that were about to be changed, of which the kernel may have the one or the other. */
export class AllowLists {
  readonly #parts: AllowListsParts;
  readonly #intents: readonly AllowIntent[];

  constructor(parts: AllowListsParts, intents: readonly AllowIntent[]) {
    this.#parts = parts;
    this.#intents = intents;
  }

  /** What was answered of seats fits the lists that were answered; what is under way may fit another one only. */
  async restoreAnswered(): Promise<void> {
    for (const intent of this.#intents) await this.#allowOneOf(intent, [this.#answered(intent)]);
  }

  /** The list that was answered, or else the one that was asked for then: with it a device may have come. */
  async restore(): Promise<void> {
    for (const intent of this.#intents) {
      const { context, ioas, list } = intent;
      const lists = [this.#answered(intent), ...(list ? [toNamedRanges(list)] : [])];
      if (await this.#allowOneOf(intent, lists)) continue;
      this.#parts.lose({ context, ioas, reason: "its allow list is not free any more" });
      await this.#allowOneOf(intent, [NamedRanges.EMPTY]);
    }
  }

  #answered(intent: AllowIntent): NamedRanges {
    return this.#ioasOf(intent)?.allowList ?? NamedRanges.EMPTY;
  }

  /** Whether the kernel has taken one of them, or has no such IOAS. */
  async #allowOneOf(intent: AllowIntent, lists: readonly NamedRanges[]): Promise<boolean> {
    const { tell, underWay } = this.#parts;
    const ioas = this.#ioasOf(intent);
    if (!ioas) return true;
    for (const list of lists) {
      try {
        await allowRanges(ioas, list, [], () => undefined, tell, underWay);
        return true;
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
      }
    }
    return false;
  }

  #ioasOf({ context, ioas }: AllowIntent): Ioas | undefined {
    return this.#parts.contexts.find(context)?.ioases.get(ioas);
  }
}
