import fc from "fast-check";
import { OWN_REGIONS } from "../host/simulation.ts";

/** The devices of the host, each with a region of its own. */
export const DEVICES = [...OWN_REGIONS.keys()];

/** Gone through again and again. */
function cycled<T>(each: fc.Arbitrary<T>): fc.Arbitrary<readonly T[]> {
  return fc.array(each, { minLength: 1, maxLength: 40 });
}

/** The first, the second, and so on; the first again behind the last. */
export function cycle<T>(all: readonly T[]): () => T {
  let at = 0;
  return () => all[at++ % all.length] as T;
}

/** Milliseconds, which stand still but for jumps past the end of a time slice. */
export function clock(jumps: readonly boolean[]): () => number {
  const isJump = cycle(jumps);
  let now = 0;
  return () => {
    if (isJump()) now += 5;
    return now;
  };
}

/** What else would be chance: delays, and what happens to the host by itself. */
export const schedule = fc.record({
  /** Of each device. */
  groups: fc.tuple(...DEVICES.map(() => fc.nat(2))),
  /** Turns of the event loop that a call of the kernel waits before it is made, and again before it is told of. */
  lateness: cycled(fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 10 }))),
  /** Whether the time slice has come to its end, at each look at the clock. */
  jumps: cycled(fc.oneof({ weight: 3, arbitrary: fc.constant(false) }, fc.constant(true))),
  /** Milliseconds that timers count in a turn: 50 until a uevent is looked into, 5000 between looks for guests. */
  timers: cycled(fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.constantFrom(50, 50, 5_000))),
  /** Devices that change drivers, so many turns after one another. */
  drivers: fc.array(
    fc.record({
      after: fc.nat(30),
      device: fc.constantFrom(...DEVICES),
      driver: fc.constantFrom("vfio-pci", "vfio-pci", "nvme"),
    }),
    { maxLength: 15 },
  ),
  /** Of events: enough is remembered, or hardly any. */
  limits: fc.record({
    "max-queue": fc.constantFrom(8 << 20, 8 << 20, 4096),
    "event-history": fc.constantFrom(10_000, 10_000, 20, 1),
  }),
});

export type Schedule = typeof schedule extends fc.Arbitrary<infer T> ? T : never;

/** Others have had their turns of the event loop, so many. */
export async function turns(count = 1): Promise<void> {
  for (let left = count; left > 0; left--) await new Promise(setImmediate);
}
