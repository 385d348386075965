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

  /** Begins an element that is too long to be put into words at once: append() goes on with its text. */
  begin(text: string): void {
    const before = this.#isEmpty ? "" : ",";
    if (this.#together.length > 0) this.#join();
    this.append(before + text);
  }

  append(text: string): void {
    this.#fresh.push(text);
    this.#size += text.length;
    if (this.#size >= ENOUGH) this.#settle();
  }

  /** As append(), for what may be replaced: returns its place. */
  appendApart(text: string): number {
    this.#settle();
    return this.#pieces.push(text) - 1;
  }

  replace(place: number, text: string): void {
    this.#pieces[place] = text;
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
    this.append(piece);
  }

  #settle(): void {
    if (this.#together.length > 0) this.#join();
    for (const piece of this.#size >= ENOUGH ? offHeap(this.#fresh) : this.#fresh) this.#pieces.push(piece);
    this.#fresh = [];
    this.#size = 0;
  }
}
