import { koffi } from "./koffi.ts";

/**
 * Calls `ready` on the event loop whenever the descriptor has something to read, or an error; the caller reads it all,
 * or is called again. Does not keep the process alive. The function that is returned ends it, and comes before close(2).
 * Throws as Readiness does.
 */
export function whenReadable(fd: number, ready: () => void): () => void {
  const readiness = new Readiness(fd, ready);
  readiness.unref();
  return () => readiness.close();
}

/** Whether a descriptor can be read, or written: for descriptors that Node.js has no object for. */
export class Readiness {
  readonly #ready: () => void;
  readonly #handle: ReturnType<ReturnType<typeof koffi>["node"]["poll"]>;
  #isWatched = true;
  #writable = false;

  /**
   * Calls `ready` whenever there is something to read, or an error. koffi gives libuv's own poll handle. Throws Error
   * when there is no memory for it.
   */
  constructor(fd: number, ready: () => void) {
    this.#ready = ready;
    this.#handle = koffi().node.poll(fd, { readable: true }, this.#onEvent);
  }

  /** Whether `ready` is called also as long as there is room to write. */
  awaitRoom(writable: boolean): void {
    if (writable === this.#writable) return;
    this.#writable = writable;
    this.#start();
  }

  /** Lets the process end although this goes on. */
  unref(): void {
    this.#handle.unref();
  }

  /** Ends it; comes before close(2). */
  close(): void {
    this.#isWatched = false;
    this.#handle.close();
  }

  // The status comes first, whatever koffi's types say. After an error libuv has stopped watching.
  readonly #onEvent = (...[status]: unknown[]) => {
    this.#ready();
    if (Number(status) < 0 && this.#isWatched) this.#start();
  };

  #start(): void {
    this.#handle.start({ readable: true, writable: this.#writable }, this.#onEvent);
  }
}
