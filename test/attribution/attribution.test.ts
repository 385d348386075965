import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { attribute, sweep } from "../../src/attribution/attribution.ts";
import { type Cause, causeKey } from "../../src/attribution/cause.ts";
import type { Claim } from "../../src/attribution/claims.ts";
import { U64_MAX } from "../../src/ranges/address.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { STEP } from "../../src/ranges/steps.ts";
import { rangeIn, rangesAround, UNIVERSES, WIDTH } from "../ranges/bitmap.ts";
import { runs } from "../runs.ts";

const RUNS = { numRuns: runs(40) };

const CAUSES: readonly Cause[] = [
  { kind: "reserved-elsewhere" },
  { device: "0000:00:01.0", group: 1, kind: "aperture" },
  { device: "0000:00:01.0", group: 1, kind: "region", type: "msi" },
  { device: "0000:00:02.0", group: 2, kind: "region", type: "msi" },
  { kind: "host", host: "b" },
];

/** What covers one address, looked up claim by claim. */
function causesAt(claims: readonly Claim[], address: bigint): string[] {
  const covering = claims.filter(({ start, last }) => start <= address && address <= last);
  return [...new Set(covering.map(({ cause }) => causeKey(cause)))].sort();
}

describe.each(UNIVERSES)("attribution $name", ({ base }) => {
  const claims = fc
    .array(fc.tuple(fc.constantFrom(...CAUSES), rangesAround(base)), { maxLength: 5 })
    .map((claimed) =>
      // A cause of its own for each claim: equal causes need not be the same object.
      claimed.flatMap(([cause, ranges]) => ranges.map((range) => ({ ...range, cause: { ...cause } }))),
    );

  it("names at every address exactly the causes that brute force finds there", () => {
    fc.assert(
      fc.property(claims, (given) => {
        const exclusions = [...attribute(given)];
        const places = [base - 1n, base + BigInt(WIDTH), 0n, U64_MAX];
        for (let i = 0; i < WIDTH; i++) places.push(base + BigInt(i));
        const addresses = places.filter((address) => address >= 0n && address <= U64_MAX);
        const found = addresses.map((place) =>
          exclusions.filter(({ start, last }) => start <= place && place <= last),
        );
        expect(found.filter(({ length }) => length > 1)).toEqual([]);
        expect(found.map(([one]) => one?.causes.map(causeKey) ?? [])).toEqual(
          addresses.map((place) => causesAt(given, place)),
        );
      }),
      RUNS,
    );
  });

  it("covers precisely the union of the claims, ascending, split only where the causes change", () => {
    fc.assert(
      fc.property(claims, (given) => {
        const exclusions = [...attribute(given)];
        expect(RangeSet.from(exclusions).equals(RangeSet.from(given))).toBe(true);
        exclusions.forEach((exclusion, i) => {
          const next = exclusions[i + 1];
          if (!next) return;
          expect(next.start > exclusion.last).toBe(true);
          if (next.start === exclusion.last + 1n) {
            expect(next.causes.map(causeKey)).not.toEqual(exclusion.causes.map(causeKey));
          }
        });
      }),
      RUNS,
    );
  });

  it("within a set is what it is without, cut to the set", () => {
    fc.assert(
      fc.property(claims, rangesAround(base), (given, ranges) => {
        const within = RangeSet.from(ranges);
        const cut = [...attribute(given)].flatMap(({ start, last, causes }) =>
          [...RangeSet.from([{ start, last }]).intersect(within)].map((part) => ({ ...part, causes })),
        );
        expect([...attribute(given, within)]).toEqual(cut);
      }),
      RUNS,
    );
  });

  it("does not depend on the order of the claims", () => {
    const shuffled = claims.chain((given) =>
      fc.tuple(fc.constant(given), fc.shuffledSubarray(given, { minLength: given.length })),
    );
    fc.assert(
      fc.property(shuffled, ([given, other]) => {
        expect([...attribute(other)]).toEqual([...attribute(given)]);
      }),
      RUNS,
    );
  });

  it("of one claim is the claim", () => {
    fc.assert(
      fc.property(rangeIn(base), fc.constantFrom(...CAUSES), (range, cause) => {
        expect([...attribute([{ ...range, cause }])]).toEqual([{ ...range, causes: [cause] }]);
      }),
      RUNS,
    );
  });
});

describe("attribution", () => {
  it("joins touching claims of one cause", () => {
    const cause: Cause = { kind: "host", host: "b" };
    const claims = [
      { start: 0n, last: 9n, cause },
      { start: 10n, last: 19n, cause: { ...cause } },
    ];
    expect([...attribute(claims)]).toEqual([{ start: 0n, last: 19n, causes: [cause] }]);
  });

  it("lets others go first while there is nothing to tell, however many claims there are", () => {
    const cause: Cause = { kind: "host", host: "b" };
    const claims = Array.from({ length: 50_000 }, (_, i) => ({ start: BigInt(i), last: BigInt(i), cause }));
    const yielded = [...sweep(claims)];
    expect(yielded.filter((each) => each !== undefined)).toEqual([
      { start: 0n, last: 49_999n, causes: [cause] },
    ]);
    // Every so often, in each of its passes over the claims, and no oftener.
    expect(yielded.length).toBeGreaterThan(200);
    expect(yielded.length).toBeLessThan(400);
    const part = [...sweep(claims, RangeSet.from([{ start: 100n, last: 199n }]))];
    expect(part.at(-1)).toEqual({ start: 100n, last: 199n, causes: [cause] });
  });

  it("is made as far as it is wanted: a reader may stop", () => {
    const deep = Array.from({ length: 2000 }, (_, i) => ({
      start: BigInt(i),
      last: U64_MAX - BigInt(i),
      cause: { kind: "host", host: `${i}` } as const,
    }));
    let seen = 0;
    for (const { causes } of attribute(deep)) {
      seen += causes.length;
      if (seen > 5) break;
    }
    expect(seen).toBe(6);
  });
});

it("looks at no more than a few steps' worth of causes before it lets others go first, however many there are", () => {
  let looks = 0;
  const claims = Array.from({ length: 5 * STEP }, (_, i): Claim => {
    const cause = {
      device: `${(i * 7919) % (5 * STEP)}`,
      get kind() {
        looks++;
        return "region" as const;
      },
    };
    return { start: 0n, last: BigInt(i % 3), cause };
  });
  let most = 0;
  for (let steps = sweep(claims), before = 0; !steps.next().done; before = looks) {
    most = Math.max(most, looks - before);
  }
  expect(looks).toBe(5 * STEP);
  expect(most).toBeLessThanOrEqual(STEP);
});
