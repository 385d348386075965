import { z } from "zod";
import { DEFAULT_CONTEXT } from "../../host/contexts/contexts.ts";
import type { KnownDevice } from "../../host/knowledge/claims.ts";
import type { PlatformDevice } from "../../host/platform/platform.ts";
import { LIMITS } from "../../limits.ts";
import { makePlan, type Plan } from "../../plan/plan.ts";
import { deviceSource, hostSource, ioasSource, type Source } from "../../plan/sources.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { invalidParams } from "../errors.ts";
import type { Call } from "../method.ts";
import { contextName, deviceName, ioasId } from "../types.ts";
import { refuseMoreThan, refuseTooManyRanges } from "./planning-limits.ts";
import { hostProfile } from "./profile-type.ts";

/** The members of params that say who restricts a layout. All given are combined; with none, everything is allowed. */
export const sources = {
  devices: z
    .array(deviceName)
    .max(LIMITS["max-devices"].max, { error: `at most ${LIMITS["max-devices"].max} devices` })
    .optional()
    .meta({ description: "Devices of this host; one that is named twice counts once" }),
  context: contextName.optional().meta({ description: "Of the IOAS; default when left out" }),
  ioas: ioasId.optional().meta({ description: "An IOAS, with everything that is attached to it" }),
  hosts: z
    .array(hostProfile)
    .max(LIMITS["max-hosts"].max, { error: `at most ${LIMITS["max-hosts"].max} hosts` })
    .optional()
    .meta({ description: "Other hosts: what query-host-profile told there, or just a list" }),
};

/** How many devices are looked at before the event loop may be due. */
const PORTION = 16;

const FEWER_DEVICES = "ask about them in parts, and intersect the answers (intersect-ranges)";
const FEWER_HOSTS = "give the intersection of several hosts' lists as one (intersect-ranges)";

const sourcesObject = z.strictObject(sources);
type SourceParams = z.output<typeof sourcesObject>;

/**
 * The plan for all sources that the params name. `platforms` are the devices where the params do not say it.
 * Rejects with JSONRPCErrorException -32602 for a context without an IOAS, HostError DeviceNotFound, ContextNotFound,
 * IoasNotFound, LimitExceeded, KernelError.
 */
export async function planFor(
  { devices = [], context, ioas, hosts = [] }: SourceParams,
  call: Call,
  platforms?: readonly PlatformDevice[],
): Promise<Plan> {
  const { limits, slice } = call;
  if (context !== undefined && ioas === undefined) {
    throw invalidParams("context: says nothing without an ioas; give both, or neither");
  }
  refuseMoreThan(limits, "max-hosts", hosts.length, `hosts: ${hosts.length} hosts`, FEWER_HOSTS);
  const lists = hosts.map(({ allowed }) => allowed);
  refuseTooManyRanges(limits, "hosts", lists, FEWER_HOSTS);
  const chosen = platforms ?? chosenDevices(devices, call);
  const all: Source[] = ioas === undefined ? [] : [await spaceSource(context ?? DEFAULT_CONTEXT, ioas, call)];
  all.push(...(await slice.map(await knownOf(chosen, call), deviceSource)));
  for (const { host: name, allowed: list, exact = false, hint, ...rest } of hosts) {
    const alignment = rest["iova-alignment"] ?? null;
    const allowed = await slice.run(RangeSet.fromInSteps(list));
    all.push(await slice.run(hostSource({ host: name, allowed, alignment, exact, hint })));
  }
  return slice.run(makePlan(all));
}

/** The devices that the params name, each once. @throws HostError DeviceNotFound, LimitExceeded */
export function chosenDevices(names: readonly string[], { host, limits }: Call): PlatformDevice[] {
  refuseMoreThan(limits, "max-devices", names.length, `devices: ${names.length} devices`, FEWER_DEVICES);
  return host.findAll(names);
}

async function spaceSource(context: string, id: number, call: Call): Promise<Source> {
  const ioas = call.host.anyIoas(context, id);
  const { ranges, alignment } = await call.host.allowed(ioas);
  const names = [...ioas.devices];
  const present = call.host.platform.findAll(names);
  const attached = names.flatMap((name) => present.get(name) ?? []);
  return call.slice.run(ioasSource(ranges, alignment, await knownOf(attached, call)));
}

/** What is known of the devices, looked up while others go on. */
async function knownOf(devices: readonly PlatformDevice[], { host, slice }: Call): Promise<KnownDevice[]> {
  const known: KnownDevice[] = [];
  for (let i = 0; i < devices.length; i += PORTION) {
    known.push(...(await host.reservedOf(devices.slice(i, i + PORTION))));
    if (slice.isOver) await slice.pass();
  }
  return known;
}
