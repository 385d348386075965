import { Errno } from "./errno.ts";
import { OpenFile } from "./open-file.ts";

/** An eventfd, after `fs/eventfd.c`: whoever owns it hears of signals, as if it polled and read. */
export class EventFile extends OpenFile {
  readonly #signalled: () => void;
  #isPending = false;
  #isClosed = false;

  constructor(signalled: () => void) {
    super("anon_inode:[eventfd]");
    this.#signalled = signalled;
  }

  /** eventfd_signal: the owner hears of it when the event loop comes round. */
  signal(): void {
    if (this.#isPending) return;
    this.#isPending = true;
    setImmediate(() => {
      this.#isPending = false;
      if (!this.#isClosed) this.#signalled();
    });
  }

  ioctl(): number {
    throw new Errno("ENOTTY");
  }

  release(): void {
    this.#isClosed = true;
  }

  async takeTime<T>(_request: number | "release", call: () => T): Promise<T> {
    return call();
  }
}
