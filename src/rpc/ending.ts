import type { Logger } from "pino";

/** What is to be done when a connection is over, in the order in which it was asked for. */
export class Ending {
  readonly #log: Logger;
  #callbacks: Set<() => void> | undefined = new Set();

  constructor(log: Logger) {
    this.#log = log;
  }

  /** Runs `callback` once at the end, at once if that has been, unless the function that is returned is called before. */
  add(callback: () => void): () => void {
    if (this.#callbacks) this.#callbacks.add(callback);
    else this.#run(callback);
    return () => this.#callbacks?.delete(callback);
  }

  /** Now is the end. One callback that fails keeps no other from running. */
  run(): void {
    const callbacks = this.#callbacks ?? [];
    this.#callbacks = undefined;
    for (const callback of callbacks) this.#run(callback);
  }

  #run(callback: () => void): void {
    try {
      callback();
    } catch (err) {
      this.#log.error({ err }, "cleaning up after a connection failed");
    }
  }
}
