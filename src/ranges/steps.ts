/**
 * A computation in steps: whenever it yields, others may have the processor. A step takes a few milliseconds at most,
 * however much there is to do.
 */
export type Steps<T> = Generator<undefined, T, undefined>;

/** How many small things, a microsecond each or less, make a step. */
export const STEP = 1024;

/** All steps in a row, for who need not share. */
export function finish<T>(steps: Steps<T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** `make` of every item, in order. */
export function* mapInSteps<T, U>(items: Iterable<T>, make: (item: T) => U): Steps<U[]> {
  const made: U[] = [];
  for (const item of items) {
    made.push(make(item));
    if (made.length % STEP === 0) yield;
  }
  return made;
}

/**
 * The items of all lists, in order. In an array that is as long as it gets from the beginning: one that grows is made a
 * dozen times, and what lives on is moved by the garbage collector.
 */
export function* flatInSteps<T>(lists: readonly (readonly T[])[]): Steps<T[]> {
  const items = new Array<T>(lists.reduce((sum, { length }) => sum + length, 0));
  let count = 0;
  for (const list of lists) {
    for (let i = 0; i < list.length; i++) {
      items[count++] = list[i] as T;
      if (count % STEP === 0) yield;
    }
  }
  return items;
}
