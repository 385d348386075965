/** How many times the long form is wanted: `npm run test:long` sets 1, and 10 takes ten times as long. */
const LENGTH = Number(process.env.IOVAD_LONG ?? 0);

/** Whether there is time. */
export const IS_LONG = LENGTH > 0;

/** How often a random test tries: as often as `npm test` has time for, or as the long form does. */
export function runs(short: number, long = 10 * short): number {
  return IS_LONG ? LENGTH * long : short;
}
