/** How many times the long form is wanted: `npm run test:long` sets 1, and 10 takes ten times as long. */
const LENGTH = Number(process.env.IOVAD_LONG ?? 0);

/** Whether there is time. */
export const IS_LONG = LENGTH > 0;

/** Of many that are much alike so many, other ones each time; the long form takes all of them. */
export function fewOf<T>(all: readonly T[], short: number): readonly T[] {
  const left = [...all];
  while (!IS_LONG && left.length > short) left.splice(Math.floor(Math.random() * left.length), 1);
  return left;
}

/** How often a random test tries: as often as `npm test` has time for, or as the long form does. */
export function runs(short: number, long = 10 * short): number {
  return IS_LONG ? LENGTH * long : short;
}
