/** Milliseconds before the first try, and at most. */
const FIRST = 50;
const LONGEST = 5000;

/**
 * How many milliseconds to wait before each try: doubled from one to the next, and of that between a half and the
 * whole, lest all the clients of a daemon come back at once. `random` gives numbers from 0 to 1.
 */
export function* backoff(random: () => number): Generator<number, never> {
  for (let wait = FIRST; ; wait = Math.min(2 * wait, LONGEST)) yield wait * (0.5 + random() / 2);
}
