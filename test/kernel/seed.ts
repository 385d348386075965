/**
 * What the random tests of this run start from; printed, so that IOVAD_SEED=NUMBER repeats them. They are given time
 * for that: a failure is shrunk for as long as `interruptAfterTimeLimit` lets it, in milliseconds.
 */
export function randomRun(name: string, interruptAfterTimeLimit: number) {
  const given = process.env.IOVAD_SEED;
  const seed = given ? Number(given) : Math.floor(Math.random() * 0x7fff_ffff);
  if (!Number.isSafeInteger(seed)) throw new Error(`IOVAD_SEED takes a whole number, not ${given}`);
  console.log(`${name}: IOVAD_SEED=${seed} repeats it`);
  return { seed, interruptAfterTimeLimit, markInterruptAsFailure: true };
}
