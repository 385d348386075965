import { lengthOf } from "./text.ts";

/** Characters that the socket is given at a time: encoding 20 MiB at once would keep everybody waiting. */
export const PIECE = 256 * 1024;

/** More than the socket is given at once: some of it has been, and here is the rest. */
export class Rest {
  /** UTF-16 units, of all that there was. */
  size = 0;
  readonly #pieces: string[] = [];
  /** Which piece is next, and where in it what is next begins. */
  #index = 0;
  #at = 0;

  get isEmpty(): boolean {
    return this.#index === this.#pieces.length;
  }

  add(pieces: readonly string[]): void {
    for (const piece of pieces) this.#pieces.push(piece);
    this.size += lengthOf(pieces);
  }

  /** The next PIECE of it: small pieces together, a large one in parts. */
  take(): string {
    let text = "";
    while (!this.isEmpty && text.length < PIECE) {
      const piece = this.#pieces[this.#index] as string;
      const end = endOfPiece(piece, this.#at + PIECE - text.length);
      if (end === this.#at && end < piece.length) break;
      text += piece.slice(this.#at, end);
      this.#at = end;
      if (end < piece.length) continue;
      this.#pieces[this.#index++] = "";
      this.#at = 0;
    }
    return text;
  }
}

/** At `end` or one before: a pair of surrogates is one character, and has no halves in UTF-8. */
function endOfPiece(text: string, end: number): number {
  if (end >= text.length) return text.length;
  const last = text.charCodeAt(end - 1);
  return last >= 0xd800 && last < 0xdc00 ? end - 1 : end;
}
