/** Whether there is time: `npm run test:long`. */
export const IS_LONG = process.env.IOVAD_LONG === "1";

/** How often a random test tries: as often as `npm test` has time for, or as the long form does. */
export function runs(short: number, long = 10 * short): number {
  return IS_LONG ? long : short;
}
