import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { checkPool, findInPool, predictPool } from "../../../src/plan/fleet/check.ts";
import { Pool, type PoolHost } from "../../../src/plan/fleet/pool.ts";
import { checkLayout, type Window } from "../../../src/plan/layout.ts";
import { exclusions, makePlan } from "../../../src/plan/plan.ts";
import { hostSource } from "../../../src/plan/sources.ts";
import { RangeSet } from "../../../src/ranges/range-set.ts";
import { finish } from "../../../src/ranges/steps.ts";
import { runs } from "../../runs.ts";
import { excluding, fleet, SPACE } from "./fleets.ts";

const windowsOf = fc.array(
  fc.tuple(fc.nat(60), fc.nat(9), fc.boolean()).map(([start, size, required]): Window => {
    const last = BigInt(Math.min(start + size, Number(SPACE) - 1));
    return { name: `w${start}`, start: BigInt(start), last, required };
  }),
  { minLength: 1, maxLength: 4 },
);

/** What the planner of one host says, given the profiles of all. */
function singleHostPlan(hosts: readonly PoolHost[]) {
  const known = hosts.flatMap(({ host, state, profile }) =>
    profile
      ? finish(
          hostSource({
            host,
            allowed: profile.allowed,
            alignment: profile.alignment,
            exact: profile.exact && state === "fresh",
          }),
        )
      : [],
  );
  return finish(makePlan(known));
}

const all = { numRuns: runs(75, 3_000) };
const unreadable = (hosts: readonly PoolHost[]) => hosts.some(({ state }) => state === "unreadable");

describe("a fleet's answer", () => {
  it("to check is that of a single host's planner with all profiles, causes included", () => {
    fc.assert(
      fc.property(fleet, windowsOf, (hosts, windows) => {
        const plan = singleHostPlan(hosts);
        const expected = finish(checkLayout(plan, windows, exclusions, () => () => {}));
        const answer = checkPool(new Pool(hosts), { windows });
        expect(answer).toMatchObject({ fits: expected.fits, alignment: plan.alignment });
        expect(answer.windows).toEqual(expected.windows);
        expect(answer.exact).toBe(plan.exact && !unreadable(hosts));
        expect(answer.hint === undefined).toBe(answer.exact);
      }),
      all,
    );
  });

  it("to predict is that of a single host's planner, causes included", () => {
    fc.assert(
      fc.property(fleet, (hosts) => {
        const plan = singleHostPlan(hosts);
        const answer = predictPool(new Pool(hosts));
        expect([...answer.plan.ranges]).toEqual([...plan.ranges]);
        expect(answer.excluded).toEqual([...exclusions(plan)].filter((each) => each !== undefined));
      }),
      all,
    );
  });

  it("to find is the first place that every host allows", () => {
    fc.assert(
      fc.property(fleet, fc.integer({ min: 1, max: 12 }), (hosts, size) => {
        const { ranges, alignment } = singleHostPlan(hosts);
        const step = alignment ?? 1n;
        const expected = ranges.alignInwards(step).findFree({ size: BigInt(size), alignment: step });
        expect(findInPool(new Pool(hosts), { size: BigInt(size) }).range).toEqual(expected);
      }),
      all,
    );
  });

  it("names a stale host if and only if it changes what the fresh ones say", () => {
    fc.assert(
      fc.property(fleet, windowsOf, (hosts, windows) => {
        const fresh = hosts.filter(({ state }) => state === "fresh");
        const told = (part: readonly PoolHost[]) => {
          const { windows: checked, fits } = checkPool(new Pool(part), { windows });
          const place = findInPool(new Pool(part), { size: 4n }).range;
          const { plan } = predictPool(new Pool(part));
          return {
            check: { fits, checked: checked.map((each) => ({ ...each, conflicts: merged(each.conflicts) })) },
            find: place,
            predict: { ranges: [...plan.ranges], alignment: plan.alignment },
          };
        };
        const before = told(fresh);
        const changes = (question: "check" | "find" | "predict") =>
          hosts
            .filter((each) => each.state === "stale")
            .filter((each) => !equal(told([...fresh, each])[question], before[question]))
            .map(({ host }) => host);
        const pool = new Pool(hosts);
        expect(checkPool(pool, { windows }).stale).toEqual(changes("check"));
        expect(findInPool(pool, { size: 4n }).stale).toEqual(changes("find"));
        expect(predictPool(pool).stale).toEqual(changes("predict"));
      }),
      { numRuns: runs(40, 1_500) },
    );
  });

  it("offers to leave hosts out only where all others can take it", () => {
    fc.assert(
      fc.property(fleet, windowsOf, (hosts, windows) => {
        const { remedies, fits } = checkPool(new Pool(hosts), { windows });
        for (const remedy of remedies) {
          if (remedy.kind !== "without-hosts") continue;
          expect(fits).toBe(false);
          const rest = hosts.filter(({ host }) => !remedy.hosts.includes(host));
          expect(checkPool(new Pool(rest), { windows }).fits).toBe(true);
        }
      }),
      all,
    );
  });
});

it("a pool of like hosts has one limit, whatever else differs", () => {
  const profile = { digest: "a", allowed: excluding([1, 2]), alignment: 1n, exact: true, devices: [] };
  const other = { ...profile, digest: "b" };
  const pool = new Pool([
    { host: "x", state: "fresh", age: 0, profile },
    { host: "y", state: "stale", age: 99, profile: other },
  ]);
  expect(pool.limits.map(({ hosts }) => hosts.map(({ host }) => host))).toEqual([["x", "y"]]);
});

it("who is in the way of many can be left out", () => {
  const profile = { digest: "a", allowed: excluding(), alignment: 1n, exact: true, devices: [] };
  const odd = { ...profile, digest: "b", allowed: excluding([8, 9]) };
  const hosts: PoolHost[] = [profile, profile, odd].map((each, i) => ({
    ...{ host: `n${i}`, state: "fresh", age: 0, profile: each },
  }));
  const windows = [{ name: "ram", start: 0n, last: 31n, required: true }];
  expect(checkPool(new Pool(hosts), { windows }).remedies).toMatchObject([
    { kind: "without-hosts", hosts: ["n2"] },
  ]);
});

it("one host in many pieces does not have all the others written down for each", () => {
  const wide = { digest: "a", allowed: excluding(), alignment: 1n, exact: true, devices: [] };
  const pieces = Array.from({ length: 16 }, (_, i) => [4 * i, 4 * i] as const);
  const narrow = { ...wide, digest: "b", allowed: excluding([0, 63]) };
  const hosts: PoolHost[] = [narrow, narrow, { ...wide, digest: "c", allowed: excluding(...pieces) }].map(
    (profile, i) => ({ host: `n${i}`, state: "fresh", age: 0, profile }),
  );
  const { excluded } = predictPool(new Pool(hosts));
  expect(excluded.length).toBe(33);
  expect(new Set(excluded.map(({ causes }) => causes)).size).toBe(2);
});

function merged(conflicts: readonly { start: bigint; last: bigint }[]) {
  return [...RangeSet.from(conflicts)];
}

function equal(a: unknown, b: unknown): boolean {
  const text = (value: unknown) =>
    JSON.stringify(value, (_, each) => (typeof each === "bigint" ? `${each}` : each));
  return text(a) === text(b);
}
