import * as z from "zod";
import type { Exclusion } from "../attribution/attribution.ts";
import type { Region } from "../host/platform/reserved-regions.ts";
import { lazily } from "../lazily.ts";
import { formatAddress } from "../ranges/address.ts";
import type { NamedRange } from "../ranges/named-ranges.ts";
import type { Range } from "../ranges/range.ts";
import { deviceName } from "./inputs.ts";

const ADDRESS_OUTPUT = /^0x(0|[1-9a-f][0-9a-f]{0,15})$/;

/** An address in an answer. */
export const wireAddress = lazily(() =>
  z
    .string()
    .regex(ADDRESS_OUTPUT)
    .meta({
      id: "Address",
      description: "A u64: lower-case hexadecimal after 0x, not padded",
      examples: ["0xfee00000"],
    }),
);

/** A range in an answer. */
export const wireRange = lazily(() =>
  z
    .object({ start: wireAddress(), last: wireAddress() })
    .meta({ id: "Range", description: "Addresses from start to last, both inclusive" }),
);

/** A list of ranges in an answer. */
export const wireRanges = lazily(() =>
  z.array(wireRange()).meta({ id: "RangeList", description: "Ranges, ascending; no two overlap or touch" }),
);

/** Ranges that may have names, in an answer. */
export const wireNamedRanges = lazily(() =>
  z.array(wireRange().extend({ name: z.string().optional() }).meta({ id: "NamedRange" })).meta({
    id: "NamedRangeList",
    description: "Ranges, ascending; no two overlap or touch. Those that were given a name have it",
  }),
);

/** A reserved region in an answer. */
export const wireRegion = lazily(() =>
  z
    .object({
      start: wireAddress(),
      last: wireAddress(),
      type: z.string().meta({
        description: "The kernel's word for it",
        examples: ["direct", "direct-relaxable", "reserved", "msi"],
      }),
      enforced: z
        .boolean()
        .meta({ description: "False for direct-relaxable, which user space may map over" }),
    })
    .meta({ id: "Region", description: "A region that the platform reserves" }),
);

/** Why a range is excluded, in an answer. */
export const wireCause = lazily(() =>
  z
    .union([
      z.object({
        device: deviceName(),
        group: z.int().nonnegative(),
        kind: z.enum(["region", "aperture", "reserved-elsewhere"]),
        type: z.string().optional(),
      }),
      z.object({ kind: z.literal("reserved-elsewhere") }),
      z.object({ kind: z.literal("host"), host: z.string() }),
    ])
    .meta({ id: "Cause", description: "Why a range is excluded, and whose fault it is" }),
);

/** An excluded range with its causes, in an answer. */
export const wireExclusion = lazily(() =>
  z
    .object({
      start: wireAddress(),
      last: wireAddress(),
      causes: z.array(wireCause()),
      hint: z.string().optional().meta({
        description:
          "Where a cause is reserved-elsewhere: what else the host shows at these addresses. For people; not a cause",
      }),
    })
    .meta({ id: "Exclusion", description: "An excluded range; every cause holds for the whole of it" }),
);

/** A range in the form it has in answers. */
export function toWireRange({ start, last }: Range): z.output<ReturnType<typeof wireRange>> {
  return { start: formatAddress(start), last: formatAddress(last) };
}

/** As {@link toWireRange}, with the name if there is one. */
export function toWireNamedRange({
  name,
  ...range
}: NamedRange): z.output<ReturnType<typeof wireNamedRanges>>[number] {
  return name === undefined ? toWireRange(range) : { ...toWireRange(range), name };
}

/** Ranges in the form they have in answers. */
export function toWireRanges(ranges: Iterable<Range>): z.input<ReturnType<typeof wireRange>>[] {
  return Array.from(ranges, toWireRange);
}

export function toWireRegion({
  start,
  last,
  type,
  enforced,
}: Region): z.input<ReturnType<typeof wireRegion>> {
  return { ...toWireRange({ start, last }), type, enforced };
}

export function toWireExclusion(
  { start, last, causes }: Exclusion,
  hint?: string,
): z.input<ReturnType<typeof wireExclusion>> {
  return {
    start: formatAddress(start),
    last: formatAddress(last),
    causes: causes as z.input<ReturnType<typeof wireCause>>[],
    ...(hint === undefined ? {} : { hint }),
  };
}

/** How an exclusion begins, in JSON as toWireExclusion() has it. Its causes follow, with a comma in between, and its end. */
export function exclusionBegin({ start, last }: Range): string {
  return `{"start":"${formatAddress(start)}","last":"${formatAddress(last)}","causes":[`;
}

/** See {@link exclusionBegin}. */
export function exclusionEnd(hint?: string): string {
  return hint === undefined ? "]}" : `],"hint":${JSON.stringify(hint)}}`;
}

/** As toWireRange(), in JSON. */
export function rangeText({ start, last }: Range): string {
  return `{"start":"${formatAddress(start)}","last":"${formatAddress(last)}"}`;
}
