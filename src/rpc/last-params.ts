type Given = Readonly<Record<string, unknown>>;

/**
 * Params that were found right, all of them numbers, strings and the like. Who asks a question again and again, as clients do
 * that watch, asks the same, and to see that it is the same is a small part of finding it right once more.
 */
class Right {
  /** Frozen: many requests get it. */
  readonly parsed: object;
  readonly #given: Given;
  readonly #count: number;

  constructor(given: Given, parsed: object) {
    this.parsed = Object.freeze(parsed);
    this.#given = given;
    this.#count = Object.keys(given).length;
  }

  /** Whether these are the same, or even the very same. What any object inherits is never equal to what JSON can hold. */
  isOf(given: Given): boolean {
    if (given === this.#given) return true;
    let count = 0;
    for (const name in given) {
      if (given[name] !== this.#given[name]) return false;
      count++;
    }
    return count === this.#count;
  }
}

/** By the schema. */
const last = new WeakMap<object, Right>();

/** What came of these params, if they are the last ones that were found right by the schema. */
export function lastRight(schema: object, given: Given): object | undefined {
  const right = last.get(schema);
  return right?.isOf(given) ? right.parsed : undefined;
}

/** Keeps what has come of params that are right, unless there is more in them than is compared. */
export function keepRight(schema: object, given: Given, parsed: object): void {
  if (isFlat(given)) last.set(schema, new Right(given, parsed));
}

/** Whether there is nothing in them but numbers, strings and the like: nobody who is given one changes it for the next. */
export function isFlat(params: object): boolean {
  return Object.values(params).every((value) => typeof value !== "object");
}
