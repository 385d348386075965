import { hostname } from "node:os";
import { z } from "zod";
import { formatAddress } from "../../ranges/address.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { mapInSteps } from "../../ranges/steps.ts";
import { defineMethod } from "../method.ts";
import { deviceName, toWireRange, wireAddress, wireExclusion, wireRanges } from "../types.ts";
import { exactness, excludedBy, toWireExactness } from "./planning.ts";
import { hostName, PROFILE_VERSION } from "./profile-type.ts";
import { chosenDevices, planForDevices, platformsOf, sources } from "./sources.ts";

export const queryHostProfile = defineMethod({
  name: "query-host-profile",
  role: "observe",
  summary:
    "What this host allows, in one value for the planning methods of another host (their member hosts): to find a layout that can migrate.",
  params: z.strictObject({
    devices: sources.devices.meta({ description: "Every device of the host when left out" }),
    host: hostName.optional().meta({ description: "The name to bear; the host's own when left out" }),
  }),
  result: z
    .object({
      "schema-version": z.literal(PROFILE_VERSION),
      host: hostName,
      kernel: z.object({ release: z.string() }),
      devices: z.array(deviceName),
      allowed: wireRanges,
      "iova-alignment": wireAddress.nullable(),
      ...exactness,
      excluded: z.array(wireExclusion),
    })
    .meta({ id: "HostProfile" }),
  errors: ["DeviceNotFound", "LimitExceeded"],
  handler: async ({ devices, host: name }, call) => {
    const { host, slice } = call;
    const chosen = devices ? await chosenDevices(devices, call) : platformsOf(await host.devices(slice));
    const blockers = devices ? host.lastingBlockers(chosen) : [];
    const plan = await planForDevices(chosen, blockers, call);
    const excluded = await excludedBy(plan, RangeSet.ALL, call);
    return {
      "schema-version": PROFILE_VERSION,
      host: name ?? hostname(),
      kernel: { release: host.kernel.release },
      devices: chosen.map(({ device }) => device),
      allowed: await slice.run(mapInSteps(plan.ranges, toWireRange)),
      "iova-alignment": plan.alignment === null ? null : formatAddress(plan.alignment),
      ...toWireExactness(plan),
      excluded,
    };
  },
});
