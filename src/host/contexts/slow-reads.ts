import { Queues } from "../queues.ts";

/** Stands for all IO address spaces of a context. */
const ALL = 0;

/**
 * Questions about IO address spaces that may wait on a lock of the kernel, each in a thread of its own. However many
 * clients ask, there is one at a time of an IOAS, or of a context whose other holders could block any of them at will:
 * threads are few, and binds and closes need them, too.
 */
export class SlowReads {
  /** Those that have not begun. Whoever asks meanwhile shares the answer: it is of a later moment than the question. */
  readonly #waiting = new Map<number | "all that there are", Promise<unknown>>();
  readonly #queues = new Queues<number>();

  /**
   * `what`: an IOAS's id, or the search for others'. Equal questions have answers of one type. `isBlockable`: others may
   * hold locks for as long as they like. `ask` makes the call.
   */
  read<T>(what: number | "all that there are", isBlockable: boolean, ask: () => Promise<T>): Promise<T> {
    const waiting = this.#waiting.get(what);
    if (waiting) return waiting as Promise<T>;
    const line = isBlockable || typeof what === "string" ? ALL : what;
    const answer = this.#queues.run(line, () => {
      this.#waiting.delete(what);
      return ask();
    });
    this.#waiting.set(what, answer);
    return answer;
  }
}
