/** What one side pushes and the other reads, until its end. */
export class Queue<T> implements AsyncIterable<T> {
  #items: T[] = [];
  #isOver = false;
  #wake: () => void = () => {};

  constructor(signal: AbortSignal) {
    signal.addEventListener("abort", () => this.end(), { once: true });
    if (signal.aborted) this.end();
  }

  push(item: T): void {
    this.#items.push(item);
    this.#wake();
  }

  end(): void {
    this.#isOver = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const items = this.#items;
      this.#items = [];
      yield* items;
      if (this.#items.length > 0) continue;
      if (this.#isOver) return;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
