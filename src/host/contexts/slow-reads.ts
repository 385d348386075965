import type { IovaRanges } from "../../kernel/iommufd.ts";

/** Stands for all IO address spaces of a context. */
const ALL = 0;

/**
 * Reads of IO address spaces that may wait on a lock of the kernel, each in a thread of its own. However many clients
 * ask, there is one at a time of an IOAS, or of a context whose other holders could block any of them at will: threads
 * are few, and binds and closes need them, too.
 */
export class SlowReads {
  /** Those that have not begun. Whoever asks meanwhile shares the answer: it is of a later moment than the question. */
  readonly #waiting = new Map<number, Promise<IovaRanges>>();
  /** The last one of each line; none of these promises rejects. */
  readonly #lines = new Map<number, Promise<unknown>>();

  /** `isBlockable`: others may hold locks for as long as they like. `ask` makes the call. */
  read(ioas: number, isBlockable: boolean, ask: () => Promise<IovaRanges>): Promise<IovaRanges> {
    const waiting = this.#waiting.get(ioas);
    if (waiting) return waiting;
    const line = isBlockable ? ALL : ioas;
    const before = this.#lines.get(line);
    const answer = (async () => {
      await before;
      this.#waiting.delete(ioas);
      return ask();
    })();
    this.#waiting.set(ioas, answer);
    const done = answer.then(
      () => undefined,
      () => undefined,
    );
    this.#lines.set(line, done);
    void done.then(() => {
      if (this.#lines.get(line) === done) this.#lines.delete(line);
    });
    return answer;
  }
}
