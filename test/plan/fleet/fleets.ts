import fc from "fast-check";
import type { PoolHost } from "../../../src/plan/fleet/pool.ts";
import type { Profile, ProfileDevice } from "../../../src/plan/fleet/profile.ts";
import type { Range } from "../../../src/ranges/range.ts";
import { RangeSet } from "../../../src/ranges/range-set.ts";

/** Small enough that a model can look at every address. */
export const SPACE = 64n;

/** What is above counts as forbidden to all: nothing is lost but the size of the model. */
const ABOVE: Range = { start: SPACE, last: 2n ** 64n - 1n };

export function excluding(...holes: readonly (readonly [number, number])[]): RangeSet {
  const excluded = holes.map(([start, last]) => ({ start: BigInt(start), last: BigInt(last) }));
  return RangeSet.from([...excluded, ABOVE]).invert();
}

const hole = fc.tuple(fc.nat(Number(SPACE) - 1), fc.nat(7)).map(([start, size]) => {
  return [start, Math.min(start + size, Number(SPACE) - 1)] as const;
});

/** Few lists, so that hosts have them in common. */
const LISTS = [excluding(), excluding([3, 9]), excluding([3, 9], [40, 63]), excluding([8, 20], [30, 31])];
const list = fc.oneof(
  fc.constantFrom(...LISTS),
  fc.array(hole, { maxLength: 4 }).map((holes) => excluding(...holes)),
);

const device: fc.Arbitrary<ProfileDevice> = fc.record({
  device: fc.constantFrom("0000:01:00.0", "0000:02:00.0", "0000:03:00.0", "0000:04:00.0"),
  pci: fc.option(
    fc.record({
      vendor: fc.constantFrom("0x10de", "0x8086"),
      device: fc.constantFrom("0x20b5", "0x1592"),
    }),
  ),
  assignable: fc.boolean(),
  available: fc.boolean(),
  exact: fc.boolean(),
  allowed: list,
});

const profile: fc.Arbitrary<Profile> = fc.record({
  digest: fc.uuid(),
  allowed: list,
  alignment: fc.constantFrom(null, 1n, 4n),
  exact: fc.boolean(),
  hint: fc.constantFrom(undefined, "probe 0000:01:00.0"),
  devices: fc.uniqueArray(device, { maxLength: 4, selector: (each) => each.device }),
});

/** Hosts of which some are alike, some silent, and some not understood. */
export const fleet: fc.Arbitrary<PoolHost[]> = fc
  .array(profile, { minLength: 1, maxLength: 4 })
  .chain((profiles) => {
    const member = fc.record({
      state: fc.constantFrom("fresh", "fresh", "fresh", "stale", "unreadable"),
      profile: fc.constantFrom(...profiles),
    });
    return fc.array(member, { minLength: 1, maxLength: 7 });
  })
  .map((members) =>
    members.map(({ state, profile }, i): PoolHost => {
      const host = `node-${i}`;
      return state === "unreadable"
        ? { host, state, age: null }
        : { host, state, age: state === "stale" ? 300 : 1, profile };
    }),
  );

export function addresses(set: Iterable<Range>): Set<bigint> {
  const all = new Set<bigint>();
  for (const { start, last } of set) for (let at = start; at <= last && at < SPACE; at++) all.add(at);
  return all;
}
