/** Elements that are joined at a time: of each text alone the garbage collector would have to keep track. */
const TOGETHER = 64;

/** The elements of an array, in JSON: for a list so long that to make its values first takes longer. */
export class JsonElements {
  /** Some elements each, with commas between them. */
  readonly #pieces: string[] = [];
  #together: string[] = [];

  add(element: string): void {
    if (this.#together.push(element) === TOGETHER) this.#join();
  }

  /** As add(), for one that may be replaced: returns its place. */
  addApart(element: string): number {
    this.#join();
    return this.#pieces.push(element) - 1;
  }

  replace(place: number, element: string): void {
    this.#pieces[place] = element;
  }

  /** The array in pieces. */
  *text(): Generator<string, void, undefined> {
    this.#join();
    for (const [i, piece] of this.#pieces.entries()) yield `${i === 0 ? "[" : ","}${piece}`;
    yield this.#pieces.length === 0 ? "[]" : "]";
  }

  /** Only the encoder looks into it, so in a result it passes for the array that it becomes. */
  asArray<T>(): T[] {
    return this as unknown as T[];
  }

  #join(): void {
    if (this.#together.length === 0) return;
    this.#pieces.push(this.#together.join(","));
    this.#together = [];
  }
}
