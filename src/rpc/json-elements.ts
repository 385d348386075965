import { ENOUGH, offHeap } from "./off-heap.ts";

/** Elements that are joined at a time: of each text alone the garbage collector would have to keep track. */
const TOGETHER = 64;

/** The elements of an array, in JSON: for a list so long that to make its values first takes longer. */
export class JsonElements {
  /** Some elements each, with a comma before each but the very first. */
  readonly #pieces: string[] = [];
  /** The last pieces, until they are enough to be kept elsewhere; and how long they are in all. */
  #fresh: string[] = [];
  #size = 0;
  #together: string[] = [];

  add(element: string): void {
    if (this.#together.push(this.#isEmpty ? element : `,${element}`) === TOGETHER) this.#join();
  }

  /** As add(), for one that may be replaced: returns its place. */
  addApart(element: string): number {
    const isFirst = this.#isEmpty;
    this.#settle();
    return this.#pieces.push(isFirst ? element : `,${element}`) - 1;
  }

  replace(place: number, element: string): void {
    this.#pieces[place] = place === 0 ? element : `,${element}`;
  }

  /** The array in pieces. */
  *text(): Generator<string, void, undefined> {
    this.#settle();
    yield "[";
    yield* this.#pieces;
    yield "]";
  }

  /** Only the encoder looks into it, so in a result it passes for the array that it becomes. */
  asArray<T>(): T[] {
    return this as unknown as T[];
  }

  get #isEmpty(): boolean {
    return this.#together.length + this.#fresh.length + this.#pieces.length === 0;
  }

  #join(): void {
    const piece = this.#together.join("");
    this.#together = [];
    this.#fresh.push(piece);
    this.#size += piece.length;
    if (this.#size >= ENOUGH) this.#settle();
  }

  #settle(): void {
    if (this.#together.length > 0) this.#join();
    for (const piece of this.#size >= ENOUGH ? offHeap(this.#fresh) : this.#fresh) this.#pieces.push(piece);
    this.#fresh = [];
    this.#size = 0;
  }
}
