import fc from "fast-check";
import { expect, it } from "vitest";
import { outliersOf } from "../../../src/plan/fleet/outliers.ts";
import { Pool, type PoolHost, poolPlan } from "../../../src/plan/fleet/pool.ts";
import { runs } from "../../runs.ts";
import { addresses, excluding, fleet, SPACE } from "./fleets.ts";

/** By looking at every address: who forbids it, when that is at most half. */
function byAddress(hosts: readonly PoolHost[]): Map<string, bigint[]> {
  const known = hosts.filter(({ profile }) => profile);
  const found = new Map<string, bigint[]>();
  for (let at = 0n; at < SPACE; at++) {
    const against = known.filter(({ profile }) => !profile?.allowed.contains(at)).map(({ host }) => host);
    if (against.length === 0 || 2 * against.length > known.length) continue;
    const key = against.join();
    found.set(key, [...(found.get(key) ?? []), at]);
  }
  return found;
}

it("outliers are who forbids what, greatest loss first, and their gain is what the pool then has more", () => {
  fc.assert(
    fc.property(fleet, (hosts) => {
      const pool = new Pool(hosts);
      const expected = byAddress(hosts);
      const { outliers, more } = outliersOf(pool);
      expect(more).toBe(0);
      const told = outliers.map(({ hosts, ranges }) => [
        hosts.map(({ host }) => host).join(),
        [...addresses(ranges)],
      ]);
      expect(new Map(told as [string, bigint[]][])).toEqual(expected);
      expect(outliers.map(({ bytes }) => bytes)).toEqual(
        [...expected.values()].map(({ length }) => BigInt(length)).sort((a, b) => Number(b - a)),
      );
      const now = addresses(poolPlan(pool).ranges).size;
      for (const { hosts: out, gain } of outliers) {
        const rest = pool.without(new Set(out.map(({ host }) => host)));
        expect(gain).toBe(BigInt(addresses(poolPlan(rest).ranges).size - now));
      }
    }),
    { numRuns: runs(150, 3_000) },
  );
});

it("names the devices that cost something, and how many outliers are not told", () => {
  const device = { pci: null, assignable: true, available: true, exact: true };
  const all = excluding();
  const profile = { digest: "a", allowed: all, alignment: 1n, exact: true, devices: [] };
  const odd = (digest: string, at: number) => ({
    ...{ ...profile, digest, allowed: excluding([at, at + 1]) },
    devices: [
      { ...device, device: "good", allowed: all },
      { ...device, device: "bad", allowed: excluding([at, at + 1]) },
      { ...device, device: "never given", assignable: false, allowed: excluding([0, 63]) },
    ],
  });
  const profiles = [profile, profile, odd("b", 8), odd("c", 20)];
  const pool = new Pool(
    profiles.map((each, i) => ({ host: `n${i}`, state: "fresh", age: 0, profile: each })),
  );
  const { outliers, more } = outliersOf(pool, 1);
  expect(more).toBe(1);
  expect(outliers).toMatchObject([{ hosts: [{ devices: ["bad"], stale: false }], bytes: 2n, gain: 2n }]);
});
