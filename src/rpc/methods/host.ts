import * as z from "zod";
import type { DeviceRecord } from "../../host/devices/device-record.ts";
import type { Host } from "../../host/host.ts";
import { lazily } from "../../lazily.ts";
import { contextName, device, deviceName } from "../inputs.ts";
import { type Call, defineMethod } from "../method.ts";
import { group, toWireDevice, wireDevice } from "../records.ts";
import { wireAddress, wireRange, wireRanges, wireRegion } from "../wire.ts";
import { qemuRegions, toWireReserved } from "./reserved.ts";

const deviceParams = lazily(() =>
  z.strictObject({
    device: device().optional(),
    group: group().optional(),
    driver: z.string().max(255).nullable().optional().meta({ description: "null: bound to none" }),
    state: wireDevice().shape.state.optional(),
    context: contextName().optional(),
    assignable: z.boolean().optional(),
    available: z.boolean().optional(),
    users: z.boolean().default(false).meta({
      description: "With who has each device open, as far as /proc shows; dear on a host with many processes",
    }),
  }),
);
type DeviceParams = z.output<ReturnType<typeof deviceParams>>;

const user = lazily(() => z.object({ pid: z.int(), uid: z.int(), command: z.string() }));

export const queryDevices = defineMethod({
  name: "query-devices",
  role: "observe",
  summary: "The devices of this host that have an IOMMU group, what holds them, and what blocks them.",
  params: deviceParams,
  result: () =>
    z.object({
      devices: z.array(
        wireDevice().extend({
          users: z
            .array(user())
            .optional()
            .meta({ description: "Only when asked for, and where /proc can be read" }),
        }),
      ),
    }),
  errors: ["DeviceNotFound", "KernelError"],
  handler: async (params, { host, slice }) => {
    const matches = (await candidates(params, host, slice)).filter((record) => isMatch(record, params));
    const users = params.users ? await host.users() : null;
    const devices = await slice.map(matches, (record) =>
      users ? { ...toWireDevice(record), users: users(record) } : toWireDevice(record),
    );
    return { devices };
  },
});

/** No more devices are looked at than are asked about. */
async function candidates(
  { device, group }: DeviceParams,
  host: Host,
  slice: Call["slice"],
): Promise<DeviceRecord[]> {
  if (device !== undefined) return [await host.device(device, slice)];
  return group === undefined ? host.devices(slice) : host.devicesOfGroup(group, slice);
}

function isMatch(record: DeviceRecord, wanted: DeviceParams): boolean {
  const { group, driver, state, context, assignable, available } = wanted;
  return (
    (group === undefined || record.platform.group === group) &&
    (driver === undefined || record.platform.driver === driver) &&
    (state === undefined || record.state === state) &&
    (context === undefined || record.context === context) &&
    (assignable === undefined || record.assignable === assignable) &&
    (available === undefined || record.available === available)
  );
}

/** The result of both ways to ask for one device's reserved ranges. */
export const reservedResult = lazily(() =>
  z
    .object({
      device: deviceName(),
      group: group(),
      source: z.enum(["sysfs", "probe", "resv-iova-ranges"]),
      backend: z.enum(["iommufd", "vfio-type1"]).nullable().meta({
        description: "The kernel interface that told ranges or the aperture; null: sysfs alone",
      }),
      scope: z.enum(["group", "device"]).meta({ description: "Whether siblings' regions may be among them" }),
      regions: z.array(wireRegion()).meta({
        description:
          "As the platform reports them: sorted by start, last, type; regions of different types may overlap",
      }),
      reserved: wireRanges().meta({
        description:
          "All enforced ranges and, when the aperture is known or estimated, everything outside it: the list for the owner of a stage-1 table",
      }),
      "qemu-reserved-regions": qemuRegions(),
      aperture: wireRange().nullable(),
      "aperture-source": z.enum(["probe", "ioas", "estimate", "unknown"]),
      "iova-alignment": wireAddress().nullable(),
      truncated: z
        .boolean()
        .meta({ description: "The kernel cut its list at a page; there may be more regions" }),
      cached: z.boolean(),
      generation: z.int().meta({ description: "Grows whenever the answer may have changed" }),
    })
    .meta({ id: "ReservedRanges" }),
);

export const queryReservedRanges = defineMethod({
  name: "query-reserved-ranges",
  role: "observe",
  summary: "The IO virtual addresses that one device can never use, from the best source that costs nothing.",
  params: () => z.strictObject({ device: device() }),
  result: () => reservedResult(),
  errors: ["DeviceNotFound", "KernelError"],
  handler: async ({ device }, { host, slice }) => {
    const { platform, reserved } = await host.reserved(device, slice);
    return toWireReserved(platform, reserved);
  },
});
