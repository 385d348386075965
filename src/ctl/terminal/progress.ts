/** One line on a terminal that says how far long work is; nothing in a pipe. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  readonly #total: number;

  constructor(stream: NodeJS.WriteStream, total: number) {
    this.#stream = stream;
    this.#total = total;
  }

  /** `done` of all are done, and this is under way. */
  show(done: number, what: string): void {
    if (this.#stream.isTTY && this.#total > 1)
      this.#stream.write(`\r\x1b[K${done} of ${this.#total}: ${what}`);
  }

  /** Before something else is printed. */
  clear(): void {
    if (this.#stream.isTTY && this.#total > 1) this.#stream.write("\r\x1b[K");
  }
}
