import { z } from "zod";
import type { Exclusion } from "../../attribution/attribution.ts";
import { exclusions, type Plan } from "../../plan/plan.ts";
import { qemuReservedRegions } from "../../plan/qemu-text.ts";
import { formatAddress } from "../../ranges/address.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { invalidParams } from "../errors.ts";
import { defineMethod } from "../method.ts";
import { Turn } from "../turn.ts";
import {
  address,
  rangeList,
  toWireRange,
  wireAddress,
  wireExclusion,
  wireRange,
  wireRanges,
} from "../types.ts";
import { causeBudget, refuseTooManyRanges } from "./planning-limits.ts";
import { alignment } from "./profile-type.ts";
import { planFor, sources } from "./sources.ts";
import { qemuRegions, toWireExclusion, toWireRanges } from "./wire.ts";

/** Of every answer: what it is worth. */
export const exactness = {
  exact: z.boolean().meta({
    description: "The kernel has told every aperture involved: attaching gives these ranges and no others",
  }),
  hint: z.string().optional().meta({ description: "When not exact: what would make it so, for people" }),
};

export function toWireExactness({ exact, hint }: Plan) {
  return { exact, ...(hint === undefined ? {} : { hint }) };
}

/** What a plan excludes within `within`, complete. Rejects with HostError LimitExceeded. */
export async function excludedBy(plan: Plan, within: RangeSet): Promise<Exclusion[]> {
  const spend = causeBudget();
  const turn = new Turn();
  const all: Exclusion[] = [];
  for (const exclusion of exclusions(plan, within)) {
    spend(exclusion);
    all.push(exclusion);
    if (turn.isOver) await turn.pass();
  }
  return all;
}

export const predictAllowedRanges = defineMethod({
  name: "predict-allowed-ranges",
  role: "observe",
  summary:
    "What an IOAS would allow with these devices in it, on top of an IOAS or on several hosts, and who excludes the rest.",
  params: z.strictObject(sources),
  result: z.object({
    ranges: wireRanges,
    "iova-alignment": wireAddress.nullable(),
    ...exactness,
    excluded: z.array(wireExclusion).meta({
      description: "Precisely the complement of ranges, ascending, split wherever the set of causes changes",
    }),
    "qemu-reserved-regions": qemuRegions,
  }),
  errors: ["DeviceNotFound", "ContextNotFound", "IoasNotFound", "LimitExceeded", "KernelError"],
  handler: async (params, { host }) => {
    const plan = await planFor(params, host);
    const excluded = await excludedBy(plan, RangeSet.ALL);
    const msi = plan.claims.filter(({ cause }) => cause.type === "msi");
    return {
      ranges: toWireRanges(plan.ranges),
      "iova-alignment": plan.alignment === null ? null : formatAddress(plan.alignment),
      ...toWireExactness(plan),
      excluded: excluded.map(toWireExclusion),
      "qemu-reserved-regions": qemuReservedRegions(plan.ranges.invert(), msi),
    };
  },
});

export const explainRange = defineMethod({
  name: "explain-range",
  role: "observe",
  summary:
    "Which parts of a range can be used, and what stands in the way of the others. Without sources: for all devices of the host.",
  params: z.strictObject({ start: address, last: address, ...sources }),
  result: z.object({
    start: wireAddress,
    last: wireAddress,
    allowed: wireRanges,
    excluded: z.array(wireExclusion),
    ...exactness,
  }),
  errors: ["DeviceNotFound", "ContextNotFound", "IoasNotFound", "LimitExceeded", "KernelError"],
  handler: async ({ start, last, ...given }, { host, slice }) => {
    if (start > last) throw invalidParams("start lies above last (both are inclusive)");
    const { devices, ioas, hosts } = given;
    const isAboutAll = devices === undefined && ioas === undefined && hosts === undefined;
    const all = isAboutAll ? (await host.devices(slice)).map(({ platform }) => platform) : undefined;
    const plan = await planFor(given, host, all);
    const within = RangeSet.from([{ start, last }]);
    const excluded = await excludedBy(plan, within);
    return {
      ...toWireRange({ start, last }),
      allowed: toWireRanges(plan.ranges.intersect(within)),
      excluded: excluded.map(toWireExclusion),
      ...toWireExactness(plan),
    };
  },
});

export const findFreeRange = defineMethod({
  name: "find-free-range",
  role: "observe",
  summary: "The lowest or highest place for so many bytes that everything given can use.",
  params: z.strictObject({
    size: address.refine((size) => size > 0n, { error: "expected at least 1 byte" }),
    alignment: alignment.optional().meta({
      description:
        "Of the first address: a power of two. Never less than the iova-alignment, where it is known",
    }),
    "not-below": address.optional(),
    "not-above": address.optional().meta({ description: "The highest address that the range may contain" }),
    avoid: rangeList.optional(),
    direction: z.enum(["up", "down"]).default("up"),
    ...sources,
  }),
  result: z.object({
    range: wireRange.nullable().meta({ description: "Null when there is no such place" }),
    ...exactness,
  }),
  errors: ["DeviceNotFound", "ContextNotFound", "IoasNotFound", "LimitExceeded", "KernelError"],
  handler: async (params, { host }) => {
    const { size, avoid = [], direction } = params;
    refuseTooManyRanges("avoid", [avoid]);
    const { devices, context, ioas, hosts } = params;
    const plan = await planFor({ devices, context, ioas, hosts }, host);
    const smallest = plan.alignment ?? 1n;
    const wanted = params.alignment ?? 1n;
    const free = plan.ranges.subtract(RangeSet.from(avoid)).alignInwards(smallest);
    const found = free.findFree({
      size,
      alignment: wanted > smallest ? wanted : smallest,
      notBelow: params["not-below"],
      notAbove: params["not-above"],
      direction,
    });
    return { range: found ? toWireRange(found) : null, ...toWireExactness(plan) };
  },
});
