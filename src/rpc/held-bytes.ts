const NONE = Buffer.alloc(0);

/** The part of a message that has come so far. Grows by doubling: single bytes come in at a constant cost. */
export class HeldBytes {
  /** The bytes stand in its first `#size`. */
  #buffer = NONE;
  #size = 0;

  /** How many bytes there are. */
  get size(): number {
    return this.#size;
  }

  /** How many bytes of memory they take, the room for more included. */
  get capacity(): number {
    return this.#buffer.length;
  }

  /** The bytes as they are now; {@link add} may change what is behind them. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#size);
  }

  add(piece: Buffer): void {
    const size = this.#size + piece.length;
    if (size > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(size, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, this.#size);
      this.#buffer = larger;
    }
    piece.copy(this.#buffer, this.#size);
    this.#size = size;
  }

  drop(): void {
    this.#buffer = NONE;
    this.#size = 0;
  }
}
