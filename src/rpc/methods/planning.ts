import * as z from "zod";
import { lazily } from "../../lazily.ts";
import type { Plan } from "../../plan/plan.ts";
import { eachReservedRegion } from "../../plan/qemu-text.ts";
import { formatAddress } from "../../ranges/address.ts";
import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { invalidParams } from "../errors.ts";
import { address, rangeList, size } from "../inputs.ts";
import { JsonElements } from "../json-elements.ts";
import { type Call, defineMethod } from "../method.ts";
import { toWireBlocker, wireBlocker } from "../records.ts";
import { rangeText, toWireRange, wireAddress, wireExclusion, wireRange, wireRanges } from "../wire.ts";
import { excludedBy } from "./excluded.ts";
import { refuseTooManyRanges } from "./planning-limits.ts";
import { isPowerOfTwo, NO_POWER_OF_TWO } from "./profile-type.ts";
import { qemuRegions } from "./reserved.ts";
import { type HostPlan, planFor, planForDevices, platformsOf, sources } from "./sources.ts";

const FEWER_TO_AVOID = "look for a place between not-below and not-above, and avoid only what lies there";

/** Of every answer: what it is worth. */
export const exactness = lazily(() => ({
  exact: z.boolean().meta({
    description: "The kernel has told every aperture involved: attaching gives these ranges and no others",
  }),
  hint: z.string().optional().meta({ description: "When not exact: what would make it so, for people" }),
}));

/** Of every answer that is about devices: what it is worth, and for whom. */
export const worth = lazily(() => ({
  ...exactness(),
  blockers: z.array(wireBlocker()).meta({
    description: "What keeps the devices that the params name from guests, until somebody mends it",
  }),
}));

export function toWireWorth(plan: HostPlan) {
  return { ...toWireExactness(plan), blockers: plan.blockers.map(toWireBlocker) };
}

/** Whether answers say who excludes what. */
export const causes = lazily(() =>
  z.boolean().default(true).meta({
    description: "Without them an answer says what is excluded, and not by whom: no limit on causes applies",
  }),
);

export function toWireExactness({ exact, hint }: Plan) {
  return { exact, ...(hint === undefined ? {} : { hint }) };
}

/** Ranges in the form they have in answers that may have very many. */
async function rangesOf(
  ranges: Iterable<Range>,
  { slice }: Call,
): Promise<z.input<ReturnType<typeof wireRange>>[]> {
  const elements = new JsonElements();
  await slice.map(ranges, (range) => elements.add(rangeText(range)));
  return elements.asArray();
}

/** What any of the sources may come to. */
const ERRORS = [
  "DeviceNotFound",
  "ContextNotFound",
  "IoasNotFound",
  "LimitExceeded",
  "NotSupported",
  "KernelError",
] as const;

export const predictAllowedRanges = defineMethod({
  name: "predict-allowed-ranges",
  role: "observe",
  summary:
    "What an IOAS would allow with these devices in it, on top of an IOAS or on several hosts, and who excludes the rest.",
  params: () => z.strictObject({ ...sources(), causes: causes() }),
  result: () =>
    z.object({
      ranges: wireRanges(),
      "iova-alignment": wireAddress().nullable(),
      ...worth(),
      excluded: z.array(wireExclusion()).optional().meta({
        description:
          "Precisely the complement of ranges, ascending, split wherever the set of causes changes; absent when no causes were asked for",
      }),
      "qemu-reserved-regions": qemuRegions(),
    }),
  errors: ERRORS,
  handler: async ({ causes, ...params }, call) => {
    const { slice } = call;
    const plan = await planFor(params, call);
    const attribution = causes ? { excluded: await excludedBy(plan, RangeSet.ALL, call) } : {};
    const msi = plan.claims.filter(({ cause }) => cause.type === "msi");
    const regions = new JsonElements();
    const add = (region: string) => regions.add(`"${region}"`);
    await slice.run(eachReservedRegion(plan.ranges.invert(), msi, add));
    return {
      ranges: await rangesOf(plan.ranges, call),
      "iova-alignment": plan.alignment === null ? null : formatAddress(plan.alignment),
      ...toWireWorth(plan),
      ...attribution,
      "qemu-reserved-regions": regions.asArray<string>(),
    };
  },
});

export const explainRange = defineMethod({
  name: "explain-range",
  role: "observe",
  summary:
    "Which parts of a range can be used, and what stands in the way of the others. Without sources: for all devices of the host.",
  params: () => z.strictObject({ start: address(), last: address(), ...sources(), causes: causes() }),
  result: () =>
    z.object({
      start: wireAddress(),
      last: wireAddress(),
      allowed: wireRanges(),
      excluded: z
        .array(wireExclusion())
        .optional()
        .meta({ description: "Absent when no causes were asked for" }),
      ...worth(),
    }),
  errors: ERRORS,
  handler: async ({ start, last, causes, ...given }, call) => {
    const { host, slice } = call;
    if (start > last) throw invalidParams("start lies above last (both are inclusive)");
    const isAboutAll = Object.values(given).every((source) => source === undefined);
    const plan = isAboutAll
      ? await planForDevices(platformsOf(await host.devices(slice)), [], call)
      : await planFor(given, call);
    const within = RangeSet.from([{ start, last }]);
    const attribution = causes ? { excluded: await excludedBy(plan, within, call) } : {};
    return {
      ...toWireRange({ start, last }),
      allowed: await rangesOf(plan.ranges.cut({ start, last }), call),
      ...attribution,
      ...toWireWorth(plan),
    };
  },
});

export const findFreeRange = defineMethod({
  name: "find-free-range",
  role: "observe",
  summary: "The lowest or highest place for so many bytes that everything given can use.",
  params: () =>
    z.strictObject({
      size: size().refine((size) => size > 0n, { error: "expected at least 1 byte" }),
      alignment: size().refine(isPowerOfTwo, NO_POWER_OF_TWO).optional().meta({
        description:
          "Of the first address: a power of two. Never less than the iova-alignment, where it is known",
      }),
      "not-below": address().optional(),
      "not-above": address()
        .optional()
        .meta({ description: "The highest address that the range may contain" }),
      avoid: rangeList().optional(),
      direction: z.enum(["up", "down"]).default("up"),
      ...sources(),
    }),
  result: () =>
    z.object({
      range: wireRange().nullable().meta({ description: "Null when there is no such place" }),
      ...worth(),
    }),
  errors: ERRORS,
  handler: async (params, call) => {
    const { size, avoid = [], direction } = params;
    refuseTooManyRanges(call.limits, "avoid", [avoid], FEWER_TO_AVOID);
    const { devices, context, ioas, hosts } = params;
    const plan = await planFor({ devices, context, ioas, hosts }, call);
    const smallest = plan.alignment ?? 1n;
    const wanted = params.alignment ?? 1n;
    const taken = await call.slice.run(RangeSet.fromInSteps([...plan.claims, ...avoid]));
    const free = taken.invert().alignInwards(smallest);
    const found = free.findFree({
      size,
      alignment: wanted > smallest ? wanted : smallest,
      notBelow: params["not-below"],
      notAbove: params["not-above"],
      direction,
    });
    return { range: found ? toWireRange(found) : null, ...toWireWorth(plan) };
  },
});
