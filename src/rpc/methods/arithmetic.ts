import * as z from "zod";
import { LIMITS } from "../../limits.ts";
import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { mapInSteps } from "../../ranges/steps.ts";
import { range, rangeList } from "../inputs.ts";
import { defineMethod } from "../method.ts";
import { toWireRange, wireRanges } from "../wire.ts";
import { refuseMoreThan, refuseTooManyRanges } from "./planning-limits.ts";

const IN_PARTS = "intersect them in parts, and then the answers";

export const intersectRanges = defineMethod({
  name: "intersect-ranges",
  role: "observe",
  summary: "What all lists of ranges have in common. Pure arithmetic.",
  params: () =>
    z.strictObject({
      lists: z
        .array(rangeList())
        .max(LIMITS["max-lists"].max, { error: `at most ${LIMITS["max-lists"].max} lists` })
        .meta({ description: "With no list at all, the whole address space is common" }),
    }),
  result: () => z.object({ ranges: wireRanges() }),
  errors: ["LimitExceeded"],
  handler: async ({ lists }, { limits, slice }) => {
    refuseMoreThan(limits, "max-lists", lists.length, `lists: ${lists.length} lists`, IN_PARTS);
    refuseTooManyRanges(limits, "lists", lists, IN_PARTS);
    const holes: Range[] = [];
    for (const list of lists) {
      for (const hole of (await slice.run(RangeSet.fromInSteps(list))).invert()) holes.push(hole);
    }
    const common = (await slice.run(RangeSet.fromInSteps(holes))).invert();
    return { ranges: await slice.run(mapInSteps(common, toWireRange)) };
  },
});

export const invertRanges = defineMethod({
  name: "invert-ranges",
  role: "observe",
  summary: "What a list of ranges leaves of the address space, or of a part of it. Pure arithmetic.",
  params: () => z.strictObject({ ranges: rangeList(), within: range().optional() }),
  result: () => z.object({ ranges: wireRanges() }),
  errors: ["LimitExceeded"],
  handler: async ({ ranges, within }, { limits, slice }) => {
    refuseTooManyRanges(limits, "ranges", [ranges], "invert them in parts, and intersect the answers");
    const inverse = (await slice.run(RangeSet.fromInSteps(ranges))).invert(within);
    return { ranges: await slice.run(mapInSteps(inverse, toWireRange)) };
  },
});
