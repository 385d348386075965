import { showable } from "../../command-line.ts";

/** One line on a terminal that says how far long work is; nothing in a pipe. */
export class Progress {
  readonly #stream: NodeJS.WriteStream;
  #isShown = false;

  constructor(stream: NodeJS.WriteStream) {
    this.#stream = stream;
  }

  /** In the place of what was said before. */
  say(text: string): void {
    if (!this.#stream.isTTY) return;
    this.#stream.write(`\r\x1b[K${showable(text)}`);
    this.#isShown = true;
  }

  /** Before something else is printed. */
  clear(): void {
    if (this.#isShown) this.#stream.write("\r\x1b[K");
    this.#isShown = false;
  }
}
