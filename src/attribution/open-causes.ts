import type { Cause } from "./cause.ts";

/** The causes that hold where a sweep has got to, and those that begin or end there. Causes go by their numbers. */
export class OpenCauses {
  readonly #causes: readonly Cause[];
  /** How many claims each cause has here. */
  readonly #counts: Int32Array;
  /** Which had any before this place, and how many did. */
  readonly #before: Uint8Array;
  #size = 0;
  readonly #touched: number[] = [];
  /** All that had any before this place, and some that once had: they are left out when somebody asks. */
  readonly #listed: number[] = [];
  readonly #isListed: Uint8Array;
  #isInOrder = true;
  /** How many causes were told of, in all. */
  told = 0;

  constructor(causes: readonly Cause[]) {
    this.#causes = causes;
    this.#counts = new Int32Array(causes.length);
    this.#before = new Uint8Array(causes.length);
    this.#isListed = new Uint8Array(causes.length);
  }

  get isEmpty(): boolean {
    return this.#size === 0;
  }

  add(id: number, by: 1 | -1): void {
    (this.#counts[id] as number) += by;
    this.#touched.push(id);
  }

  /** Whether this place has other causes than the one before. */
  get hasChanged(): boolean {
    for (let i = 0; i < this.#touched.length; i++) {
      if (this.#isChanged(this.#touched[i] as number)) return true;
    }
    return false;
  }

  /** From here on, this place is the one before. */
  settle(): void {
    for (let id = this.#touched.pop(); id !== undefined; id = this.#touched.pop()) {
      if (!this.#isChanged(id)) continue;
      const holds = this.#before[id] === 0;
      this.#before[id] = holds ? 1 : 0;
      this.#size += holds ? 1 : -1;
      if (holds && this.#isListed[id] === 0) this.#list(id);
    }
  }

  /** The causes of the place before. */
  inOrder(): Cause[] {
    this.#clean();
    if (!this.#isInOrder) this.#listed.sort((a, b) => a - b);
    this.#isInOrder = true;
    this.told += this.#size;
    return this.#listed.map((id) => this.#causes[id] as Cause);
  }

  #isChanged(id: number): boolean {
    return (this.#counts[id] as number) > 0 !== (this.#before[id] === 1);
  }

  #list(id: number): void {
    const end = this.#listed.at(-1);
    if (end !== undefined && end > id) this.#isInOrder = false;
    this.#listed.push(id);
    this.#isListed[id] = 1;
  }

  #clean(): void {
    const listed = this.#listed;
    if (listed.length === this.#size) return;
    let count = 0;
    for (const id of listed) {
      if (this.#before[id] === 1) listed[count++] = id;
      else this.#isListed[id] = 0;
    }
    while (listed.length > count) listed.pop();
  }
}
