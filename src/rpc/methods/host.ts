import { z } from "zod";
import type { DeviceReport } from "../../host/host.ts";
import { defineMethod } from "../method.ts";
import { contextName, deviceName, ioasId, wireAddress, wireRange, wireRanges, wireRegion } from "../types.ts";
import { qemuRegions, toWireBlocker, toWireReserved } from "./wire.ts";

const group = z.int().nonnegative().meta({ description: "The number of the IOMMU group" });

const wireDevice = z
  .object({
    device: deviceName,
    group,
    driver: z.string().nullable(),
    "vfio-device": z
      .string()
      .nullable()
      .meta({ examples: ["vfio0"] }),
    state: z.enum(["observed", "held", "attached", "handed-over"]),
    context: contextName.nullable(),
    ioas: ioasId.nullable(),
    "device-id": z.int().nullable().meta({ description: "The device's object id in its context" }),
    assignable: z.boolean().meta({ description: "Nothing is known to stand in the way of holding it" }),
    blockers: z.array(
      z.object({
        reason: z.enum([
          "direct-mapping",
          "no-iommu",
          "no-vfio-driver",
          "group-sibling",
          "no-cdev",
          "no-isolated-msi",
          "no-coherent-dma",
        ]),
        detail: z.string().meta({ description: "For people; says what can be done" }),
        region: wireRegion.optional(),
        devices: z
          .array(deviceName)
          .optional()
          .meta({ description: "All that carry the region, or the siblings" }),
      }),
    ),
  })
  .meta({ id: "Device" });

export const queryDevices = defineMethod({
  name: "query-devices",
  role: "observe",
  summary: "The devices of this host that have an IOMMU group, what holds them, and what blocks them.",
  params: z.strictObject({ device: deviceName.optional(), group: group.optional() }),
  result: z.object({ devices: z.array(wireDevice) }),
  errors: ["DeviceNotFound"],
  handler: ({ device, group }, { host }) => {
    if (device !== undefined) host.find(device);
    const matches = host
      .devices()
      .filter(({ platform }) => device === undefined || platform.device === device)
      .filter(({ platform }) => group === undefined || platform.group === group);
    return { devices: matches.map(toWireDevice) };
  },
});

function toWireDevice({ platform, held, handedOver, blockers }: DeviceReport): z.input<typeof wireDevice> {
  const holding = held ? (held.ioas ? ("attached" as const) : ("held" as const)) : null;
  const givenWith = handedOver?.isClosing ? undefined : handedOver;
  return {
    device: platform.device,
    group: platform.group,
    driver: platform.driver,
    "vfio-device": platform.vfioDevice,
    state: holding ?? (handedOver ? "handed-over" : "observed"),
    context: (held?.context ?? givenWith)?.name ?? null,
    ioas: held?.ioas?.id ?? null,
    "device-id": held?.deviceId ?? null,
    assignable: blockers.length === 0,
    blockers: blockers.map(toWireBlocker),
  };
}

/** The result of both ways to ask for one device's reserved ranges. */
export const reservedResult = z
  .object({
    device: deviceName,
    group,
    source: z.enum(["sysfs", "probe", "resv-iova-ranges"]),
    backend: z.enum(["iommufd", "vfio-type1"]).nullable().meta({
      description: "The kernel interface that told ranges or the aperture; null: sysfs alone",
    }),
    scope: z.enum(["group", "device"]).meta({ description: "Whether siblings' regions may be among them" }),
    regions: z.array(wireRegion).meta({
      description:
        "As the platform reports them: sorted by start, last, type; regions of different types may overlap",
    }),
    reserved: wireRanges.meta({
      description:
        "All enforced ranges and, when the aperture is known or estimated, everything outside it: the list for the owner of a stage-1 table",
    }),
    "qemu-reserved-regions": qemuRegions,
    aperture: wireRange.nullable(),
    "aperture-source": z.enum(["probe", "ioas", "estimate", "unknown"]),
    "iova-alignment": wireAddress.nullable(),
    truncated: z
      .boolean()
      .meta({ description: "The kernel cut its list at a page; there may be more regions" }),
    cached: z.boolean(),
    generation: z.int().meta({ description: "Grows whenever the answer may have changed" }),
  })
  .meta({ id: "ReservedRanges" });

export const queryReservedRanges = defineMethod({
  name: "query-reserved-ranges",
  role: "observe",
  summary: "The IO virtual addresses that one device can never use, from the best source that costs nothing.",
  params: z.strictObject({ device: deviceName }),
  result: reservedResult,
  errors: ["DeviceNotFound"],
  handler: async ({ device }, { host }) => {
    const { platform, reserved } = await host.reserved(device);
    return toWireReserved(platform, reserved);
  },
});
