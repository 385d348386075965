import { z } from "zod";
import { RangeSet } from "../../ranges/range-set.ts";
import { defineMethod } from "../method.ts";
import { range, rangeList, wireRanges } from "../types.ts";
import { refuseTooManyRanges } from "./planning-limits.ts";
import { toWireRanges } from "./wire.ts";

export const intersectRanges = defineMethod({
  name: "intersect-ranges",
  role: "observe",
  summary: "What all lists of ranges have in common. Pure arithmetic.",
  params: z.strictObject({
    lists: z
      .array(rangeList)
      .max(4096, { error: "at most 4096 lists" })
      .meta({ description: "With no list at all, the whole address space is common" }),
  }),
  result: z.object({ ranges: wireRanges }),
  errors: ["LimitExceeded"],
  handler: ({ lists }) => {
    refuseTooManyRanges("lists", lists);
    const holes = lists.flatMap((list) => [...RangeSet.from(list).invert()]);
    return { ranges: toWireRanges(RangeSet.from(holes).invert()) };
  },
});

export const invertRanges = defineMethod({
  name: "invert-ranges",
  role: "observe",
  summary: "What a list of ranges leaves of the address space, or of a part of it. Pure arithmetic.",
  params: z.strictObject({ ranges: rangeList, within: range.optional() }),
  result: z.object({ ranges: wireRanges }),
  errors: ["LimitExceeded"],
  handler: ({ ranges, within }) => {
    refuseTooManyRanges("ranges", [ranges]);
    return { ranges: toWireRanges(RangeSet.from(ranges).invert(within)) };
  },
});
