import * as z from "zod";
import { lazily } from "../../lazily.ts";
import { type CheckedLayout, requiredFit, type Window } from "../../plan/layout.ts";
import type { Machine } from "../../plan/machines.ts";
import {
  deviceAtFault,
  machineRemedies,
  physBitsRemedy,
  probeRemedy,
  type Remedy,
  withoutDevice,
} from "../../plan/remedies.ts";
import { formatAddress } from "../../ranges/address.ts";
import { deviceName } from "../inputs.ts";
import type { Call } from "../method.ts";
import { wireAddress } from "../wire.ts";
import { type HostPlan, planFor, type SourceParams } from "./sources.ts";

const detail = lazily(() => z.string().meta({ description: "For people" }));

/** What can be done about a layout, in an answer. */
export const wireRemedy = lazily(() =>
  z
    .discriminatedUnion("kind", [
      z.object({ kind: z.literal("amd-vcpu"), detail: detail() }),
      z.object({ kind: z.literal("machine-version"), version: z.string(), detail: detail() }),
      z.object({
        kind: z.literal("memory"),
        memory: wireAddress().meta({
          description: "Bytes: the most below what the machine has that fits, everything else equal",
        }),
        detail: detail(),
      }),
      z.object({
        kind: z.literal("phys-bits"),
        bits: z
          .int()
          .meta({ description: "The most that keep all that the guest can address inside the aperture" }),
        detail: detail(),
      }),
      z.object({ kind: z.literal("without-device"), device: deviceName(), detail: detail() }),
      z.object({ kind: z.literal("probe"), devices: z.array(deviceName()), detail: detail() }),
    ])
    .meta({ id: "Remedy", description: "What makes a layout fit, or an answer exact" }),
);

export function toWireRemedy(remedy: Remedy): z.input<ReturnType<typeof wireRemedy>> {
  if (remedy.kind === "memory") return { ...remedy, memory: formatAddress(remedy.memory) };
  if (remedy.kind === "probe") return { ...remedy, devices: [...remedy.devices] };
  return remedy;
}

/** What the params say of the guest. */
interface Guest {
  readonly machine?: Machine | undefined;
  readonly layout?: readonly Window[] | undefined;
}

/** What can be done about a layout that was checked. */
export async function remediesFor(
  { machine, layout = [] }: Guest,
  given: SourceParams,
  plan: HostPlan,
  checked: CheckedLayout,
  call: Call,
): Promise<Remedy[]> {
  const isFree = plan.blockers.length === 0;
  const fits = checked.fits && isFree;
  const remedies: Remedy[] = [];
  if (!checked.fits && isFree && machine && requiredFit(plan, layout)) {
    remedies.push(...(await call.slice.run(machineRemedies(machine, plan))));
  }
  const physBits = fits && machine ? physBitsRemedy(machine, plan) : undefined;
  if (physBits) remedies.push(physBits);
  const without = fits ? undefined : await leavingOut(given, plan, checked, call);
  if (without) remedies.push(without);
  const probe = isFree ? await call.slice.run(probeRemedy(plan, checked.windows)) : undefined;
  if (probe) remedies.push(probe);
  return remedies;
}

/** The device without which everything fits, when there is something else to plan for. */
async function leavingOut(
  { devices = [], ...others }: SourceParams,
  { blockers }: HostPlan,
  checked: CheckedLayout,
  call: Call,
): Promise<Remedy | undefined> {
  const device = deviceAtFault(checked, blockers);
  if (device === undefined || !devices.includes(device)) return undefined;
  const rest = devices.filter((name) => name !== device);
  const isIoasAlone = rest.length === 0 && !others.hosts?.length;
  if (isIoasAlone && others.ioas === undefined) return undefined;
  const plan = await planFor({ ...others, devices: rest }, call);
  // By itself it is exact, but for one that nothing is attached to.
  if (isIoasAlone && !plan.exact) return undefined;
  const helps = plan.blockers.length === 0 && requiredFit(plan, checked.windows);
  return helps ? withoutDevice(device) : undefined;
}
