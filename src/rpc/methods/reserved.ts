import * as z from "zod";
import type { Reserved } from "../../host/knowledge/reserved.ts";
import { reservedRanges } from "../../host/knowledge/reserved.ts";
import type { PlatformDevice } from "../../host/platform/platform.ts";
import { lazily } from "../../lazily.ts";
import { qemuReservedRegions } from "../../plan/qemu-text.ts";
import { formatAddress } from "../../ranges/address.ts";
import { finish } from "../../ranges/steps.ts";
import { toWireRange, toWireRanges, toWireRegion } from "../wire.ts";

/** Reserved ranges as QEMU's command line takes them. */
export const qemuRegions = lazily(() =>
  z.array(z.string()).meta({
    description:
      "What is reserved, in QEMU's text form 0xLOW:0xHIGH:TYPE, TYPE 1 for msi and 0 for the rest: for the property reserved-regions of virtio-iommu",
    examples: [["0xfee00000:0xfeefffff:1"]],
  }),
);

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
