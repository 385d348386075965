import * as z from "zod";
import type { Exclusion } from "../../attribution/attribution.ts";
import type { Cause } from "../../attribution/cause.ts";
import type { Reserved } from "../../host/knowledge/reserved.ts";
import { reservedRanges } from "../../host/knowledge/reserved.ts";
import type { PlatformDevice } from "../../host/platform/platform.ts";
import type { Region } from "../../host/platform/reserved-regions.ts";
import { qemuReservedRegions } from "../../plan/qemu-text.ts";
import { formatAddress } from "../../ranges/address.ts";
import type { Range } from "../../ranges/range.ts";
import { finish } from "../../ranges/steps.ts";
import {
  toWireRange,
  type wireCause,
  type wireExclusion,
  type wireRange,
  type wireRegion,
} from "../types.ts";

/** Ranges in the form they have in answers. */
export function toWireRanges(ranges: Iterable<Range>): z.input<typeof wireRange>[] {
  return Array.from(ranges, toWireRange);
}

export function toWireRegion({ start, last, type, enforced }: Region): z.input<typeof wireRegion> {
  return { ...toWireRange({ start, last }), type, enforced };
}

export function toWireExclusion(
  { start, last, causes }: Exclusion,
  hint?: string,
): z.input<typeof wireExclusion> {
  return {
    start: formatAddress(start),
    last: formatAddress(last),
    causes: causes as z.input<typeof wireCause>[],
    ...(hint === undefined ? {} : { hint }),
  };
}

/** As toWireExclusion(), in JSON. `causeText`: each cause's, which many exclusions have in common. */
export function exclusionText(
  { start, last, causes }: Exclusion,
  causeText: (cause: Cause) => string,
  hint?: string,
): string {
  const texts = causes.length === 1 ? causeText(causes[0] as Cause) : causes.map(causeText).join(",");
  const more = hint === undefined ? "" : `,"hint":${JSON.stringify(hint)}`;
  return `{"start":"${formatAddress(start)}","last":"${formatAddress(last)}","causes":[${texts}]${more}}`;
}

/** As toWireRange(), in JSON. */
export function rangeText({ start, last }: Range): string {
  return `{"start":"${formatAddress(start)}","last":"${formatAddress(last)}"}`;
}

/** Reserved ranges as QEMU's command line takes them. */
export const qemuRegions = z.array(z.string()).meta({
  description:
    "What is reserved, in QEMU's text form 0xLOW:0xHIGH:TYPE, TYPE 1 for msi and 0 for the rest: for the property reserved-regions of virtio-iommu",
  examples: [["0xfee00000:0xfeefffff:1"]],
});

/** The answer of `query-reserved-ranges` and `probe-device`. */
export function toWireReserved({ device, group }: PlatformDevice, reserved: Reserved) {
  const { aperture, regions } = reserved;
  const all = reservedRanges(reserved);
  const msi = regions.filter(({ type }) => type === "msi");
  return {
    device,
    group,
    source: reserved.source,
    backend: reserved.backend,
    scope: reserved.scope,
    regions: regions.map(toWireRegion),
    reserved: toWireRanges(all),
    "qemu-reserved-regions": finish(qemuReservedRegions(all, msi)),
    aperture: aperture ? toWireRange(aperture) : null,
    "aperture-source": reserved.apertureSource,
    "iova-alignment": reserved.alignment === null ? null : formatAddress(reserved.alignment),
    truncated: reserved.truncated,
    cached: reserved.cached,
    generation: reserved.generation,
  };
}
