import { type Line, LineReader } from "../rpc/framing.ts";

const LF = 0x0a;

/** A line, and the descriptors that came with its first byte. */
export interface Received {
  readonly line: Line;
  readonly fds: readonly number[];
}

/**
 * Cuts the daemon's side of the stream into lines. The kernel tells no more of descriptors than the chunk whose last
 * message carried them (net/unix/af_unix.c: unix_stream_read_generic stops behind it), and the daemon sends a line
 * with descriptors as one message: so they belong to the last line that begins in the chunk.
 */
export class Lines {
  readonly #reader: LineReader;
  /** Of the line under way. */
  #fds: readonly number[] = [];

  /** `limit` in bytes of one line, as it is when bytes come. */
  constructor(limit: () => number) {
    this.#reader = new LineReader(limit);
  }

  push(bytes: Buffer, fds: readonly number[]): Received[] {
    if (fds.length === 0) return this.#read(bytes);
    const begin = bytes.subarray(0, -1).lastIndexOf(LF) + 1;
    const before = this.#read(bytes.subarray(0, begin));
    this.#fds = [...this.#fds, ...fds];
    return [...before, ...this.#read(bytes.subarray(begin))];
  }

  /** The descriptors of a line that has not ended. */
  leftOver(): readonly number[] {
    return this.#fds;
  }

  #read(bytes: Buffer): Received[] {
    return this.#reader.push(bytes).map((line) => {
      const fds = this.#fds;
      this.#fds = [];
      return { line, fds };
    });
  }
}
