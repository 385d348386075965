import fc from "fast-check";
import { expect, it } from "vitest";
import { attribute } from "../../../src/attribution/attribution.ts";
import type { Claim } from "../../../src/attribution/claims.ts";
import type { Host } from "../../../src/host/host.ts";
import { makePlan } from "../../../src/plan/plan.ts";
import { RangeSet } from "../../../src/ranges/range-set.ts";
import { finish } from "../../../src/ranges/steps.ts";
import { ResultTexts } from "../../../src/rpc/encode.ts";
import { excludedBy } from "../../../src/rpc/methods/excluded.ts";
import { whole } from "../../../src/rpc/text.ts";
import { toWireExclusion } from "../../../src/rpc/wire.ts";
import { runs } from "../../runs.ts";
import { bystander } from "../stub.ts";

const HINT = 'a "hint"';
const PLATFORM = { physicalMap: async () => ({ hintFor: () => HINT }) } as unknown as Host;

/** Around the number of causes that are put into words at a time. */
const COUNTS = [1, 2, 3, 255, 256, 257, 512, 513];

it("is what every exclusion reads, however many causes it has, with a hint where nothing accounts for it", async () => {
  const exclusion = fc.record({ causes: fc.constantFrom(...COUNTS), isUnaccounted: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(exclusion, { maxLength: 6 }), async (given) => {
      const claims = given.flatMap(({ causes, isUnaccounted }, i) =>
        Array.from({ length: causes }, (_, n): Claim => {
          const kind = isUnaccounted && n === causes - 1 ? "reserved-elsewhere" : "aperture";
          const cause = { device: `0000:00:${n}.0`, group: n, kind } as const;
          return { start: BigInt(i) * 16n, last: BigInt(i) * 16n + 7n, cause };
        }),
      );
      const plan = { ...finish(makePlan([])), claims };
      const call = { ...bystander(), host: PLATFORM };
      const text = await new ResultTexts().of(await excludedBy(plan, RangeSet.ALL, call), call.slice);
      const expected = Array.from(attribute(claims), (exclusion, i) =>
        toWireExclusion(exclusion, given[i]?.isUnaccounted ? HINT : undefined),
      );
      expect(whole(text)).toBe(JSON.stringify(expected));
    }),
    { numRuns: runs(30) },
  );
});
