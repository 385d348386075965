import { hostname } from "node:os";
import * as z from "zod";
import type { DeviceRecord } from "../../host/devices/device-record.ts";
import { lazily } from "../../lazily.ts";
import { PROFILE_VERSION } from "../../plan/fleet/profile.ts";
import { formatAddress } from "../../ranges/address.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { mapInSteps } from "../../ranges/steps.ts";
import { digestOf } from "../canonical-json.ts";
import { invalidParams } from "../errors.ts";
import { type Call, defineMethod } from "../method.ts";
import { toWireDevice, wireDevice } from "../records.ts";
import { toWireRange, wireAddress, wireExclusion, type wireRange, wireRanges } from "../wire.ts";
import { excludedBy } from "./excluded.ts";
import { exactness, toWireExactness } from "./planning.ts";
import { hostName } from "./profile-type.ts";
import { chosenDevices, type HostPlan, planForDevices, platformsOf, sources } from "./sources.ts";

const NO_DEVICES = "devices: name at least one; left out, the member means every device of the host";

type WireRanges = z.input<ReturnType<typeof wireRange>>[];

const profileDevice = lazily(() =>
  wireDevice()
    .pick({
      device: true,
      group: true,
      iommu: true,
      pci: true,
      "numa-node": true,
      assignable: true,
      available: true,
    })
    .extend({
      exact: z.boolean().meta({ description: "As above, of this device alone" }),
      allowed: z.int().nonnegative().meta({ description: "What it alone allows: an index into lists" }),
    })
    .meta({ id: "HostProfileDevice" }),
);

/** What only the long form has. */
const details = lazily(() => ({
  "schema-version": z.literal(PROFILE_VERSION).optional().meta({ description: "Only in full" }),
  kernel: z.object({ release: z.string() }).optional().meta({ description: "Only in full" }),
  excluded: z.array(wireExclusion()).optional().meta({
    description: "Who excludes what allowed lacks; only in full",
  }),
}));

export const queryHostProfile = defineMethod({
  name: "query-host-profile",
  role: "observe",
  summary:
    "What this host allows, in one value for the planning methods of another host (their member hosts): to find a layout that can migrate.",
  params: () =>
    z.strictObject({
      devices: sources().devices.meta({ description: "Every device of the host when left out" }),
      host: hostName().optional().meta({ description: "The name to bear; the host's own when left out" }),
      detail: z
        .enum(["summary", "full"])
        .default("summary")
        .meta({ description: "summary: all that planning elsewhere needs, and no attribution" }),
    }),
  result: () =>
    z
      .object({
        host: hostName(),
        instance: z.string(),
        sequence: z.int().meta({ description: "Every event up to this one is part of the answer" }),
        ...exactness(),
        "iova-alignment": wireAddress().nullable(),
        allowed: wireRanges().meta({
          description:
            "What all devices together allow that the params name, or else all that are assignable",
        }),
        devices: z.array(profileDevice()).meta({ description: "Sorted by name" }),
        lists: z.array(wireRanges()).meta({ description: "Each once, in the order of the devices" }),
        digest: z.string().meta({
          description:
            "SHA-256, in hexadecimal, of the summary without host, instance, sequence and digest, as canonical JSON (RFC 8785): the same for as long as nothing of it changes",
        }),
        ...details(),
      })
      .meta({ id: "HostProfile" }),
  errors: ["DeviceNotFound", "LimitExceeded", "KernelError"],
  handler: async ({ devices, host: name, detail }, call) => {
    if (devices?.length === 0) throw invalidParams(NO_DEVICES);
    const { events, host, slice } = call;
    const records = devices ? await recordsNamed(devices, call) : await host.devices(slice);
    const { instance, sequence } = events;
    const together = devices ? records : records.filter(({ assignable }) => assignable);
    const plan = await planOf(together, call);
    const summary = {
      ...toWireExactness(plan),
      "iova-alignment": plan.alignment === null ? null : formatAddress(plan.alignment),
      allowed: await slice.run(mapInSteps(plan.ranges, toWireRange)),
      ...(await eachOf(records, call)),
    };
    const digest = await slice.run(digestOf(summary));
    const profile = { host: name ?? hostname(), instance, sequence, ...summary, digest };
    if (detail === "summary") return profile;
    const excluded = await excludedBy(plan, RangeSet.ALL, call);
    const { release } = host.kernel;
    return { ...profile, "schema-version": PROFILE_VERSION, kernel: { release }, excluded };
  },
});

/** Sorted, so that the order in which they were named makes no difference. */
async function recordsNamed(names: readonly string[], call: Call): Promise<DeviceRecord[]> {
  const records = call.host.recordsOf(await chosenDevices(names, call));
  return records.sort((a, b) => (a.platform.device < b.platform.device ? -1 : 1));
}

function planOf(records: readonly DeviceRecord[], call: Call): Promise<HostPlan> {
  const platforms = platformsOf(records);
  return planForDevices(platforms, call.host.lastingBlockers(platforms), call);
}

/** Each device with what it allows when it is alone; most have a list in common. */
async function eachOf(records: readonly DeviceRecord[], call: Call) {
  const { slice } = call;
  const devices: z.input<ReturnType<typeof profileDevice>>[] = [];
  const lists: WireRanges[] = [];
  const numbers = new Map<string, number>();
  for (const record of records) {
    const plan = await planOf([record], call);
    const list = await slice.run(mapInSteps(plan.ranges, toWireRange));
    const key = JSON.stringify(list);
    const known = numbers.get(key);
    const allowed = known ?? lists.push(list) - 1;
    if (known === undefined) numbers.set(key, allowed);
    const { device, group, iommu, pci, "numa-node": numaNode, assignable, available } = toWireDevice(record);
    const { exact } = plan;
    devices.push({ device, group, iommu, pci, "numa-node": numaNode, assignable, available, exact, allowed });
    if (slice.isOver) await slice.pass();
  }
  return { devices, lists };
}
