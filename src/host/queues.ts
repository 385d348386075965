/** Operations that wait for each other: of one key, each begins when those before it are done, however they ended. */
export class Queues<Key> {
  /** The last of each key; none of these promises rejects. */
  readonly #last = new Map<Key, Promise<unknown>>();

  run<T>(key: Key, operation: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key);
    const turn = (async () => {
      await before;
      return operation();
    })();
    const done = turn.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(key, done);
    void done.then(() => {
      if (this.#last.get(key) === done) this.#last.delete(key);
    });
    return turn;
  }

  /** Resolves when nothing is under way, and nothing waits. */
  async settled(): Promise<void> {
    while (this.#last.size > 0) await Promise.all(this.#last.values());
  }
}
