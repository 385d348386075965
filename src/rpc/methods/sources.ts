import * as z from "zod";
import { DEFAULT_CONTEXT } from "../../host/contexts/contexts.ts";
import type { DeviceRecord } from "../../host/devices/device-record.ts";
import type { KnownDevice } from "../../host/knowledge/claims.ts";
import type { Blocker } from "../../host/platform/blockers.ts";
import type { PlatformDevice } from "../../host/platform/platform.ts";
import { lazily } from "../../lazily.ts";
import { LIMITS, type Limits } from "../../limits.ts";
import { makePlan, type Plan } from "../../plan/plan.ts";
import { deviceSource, hostSource, ioasSource, type Source } from "../../plan/sources.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { invalidParams, quote } from "../errors.ts";
import { contextName, device, ioasId } from "../inputs.ts";
import type { Call } from "../method.ts";
import { refuseMoreThan, refuseTooManyRanges } from "./planning-limits.ts";
import { hostProfile } from "./profile-type.ts";

/** The members of params that say who restricts a layout. All given are combined. */
export const sources = lazily(() => ({
  devices: z
    .array(device())
    .max(LIMITS["max-devices"].max, { error: `at most ${LIMITS["max-devices"].max} devices` })
    .optional()
    .meta({ description: "Devices of this host; one that is named twice counts once" }),
  context: contextName().optional().meta({ description: "Of the IOAS; default when left out" }),
  ioas: ioasId().optional().meta({ description: "An IOAS, with everything that is attached to it" }),
  hosts: z
    .array(hostProfile())
    .max(LIMITS["max-hosts"].max, { error: `at most ${LIMITS["max-hosts"].max} hosts` })
    .optional()
    .meta({ description: "Other hosts: what query-host-profile told there, or just a list" }),
}));

/** How many devices are looked at before the event loop may be due. */
const PORTION = 16;

const FEWER_DEVICES = "ask about them in parts, and intersect the answers (intersect-ranges)";
const FEWER_HOSTS = "give the intersection of several hosts' lists as one (intersect-ranges)";

const NO_SOURCE =
  "devices: give devices, an ioas or hosts; without any there is nothing that a promise could be about (query-devices lists the devices)";
const NO_DEVICES =
  "this host has no device that a guest could get, so nothing that it could allow is known (query-devices tells why)";

export type SourceParams = z.output<z.ZodObject<ReturnType<typeof sources>, z.core.$strict>>;

/** A plan that devices of this host may take part in. */
export interface HostPlan extends Plan {
  /** What keeps those from guests that the params name. */
  readonly blockers: readonly Blocker[];
}

/**
 * The plan for all sources that the params name.
 * Rejects with JSONRPCErrorException -32602 for params without any, a context without an IOAS, a host that is named
 * twice; HostError DeviceNotFound, ContextNotFound, IoasNotFound, LimitExceeded, KernelError.
 */
export async function planFor(params: SourceParams, call: Call): Promise<HostPlan> {
  refuseSources(params, call.limits);
  const { devices = [], context = DEFAULT_CONTEXT, ioas, hosts = [] } = params;
  const { slice } = call;
  const chosen = await chosenDevices(devices, call);
  const blockers = call.host.lastingBlockers(chosen);
  const all = ioas === undefined ? [] : await spaceSources(context, ioas, chosen, call);
  all.push(...(await deviceSources(chosen, blockers, call)));
  for (const host of hosts) {
    const { allowed: list = [], exact = false, hint, ...rest } = toldOf(host);
    const alignment = rest["iova-alignment"] ?? null;
    const allowed = await slice.run(RangeSet.fromInSteps(list));
    all.push(await slice.run(hostSource({ host: host.host, allowed, alignment, exact, hint })));
  }
  return { ...(await slice.run(makePlan(all))), blockers };
}

/** The plan for devices alone: all of the host, as a rule. Never exact without any. */
export async function planForDevices(
  devices: readonly PlatformDevice[],
  blockers: readonly Blocker[],
  call: Call,
): Promise<HostPlan> {
  const plan = await call.slice.run(makePlan(await deviceSources(devices, blockers, call)));
  // All of the address space, and yet nothing to put a guest's device on.
  return { ...plan, blockers, ...(devices.length === 0 ? { exact: false, hint: NO_DEVICES } : {}) };
}

/** The devices that the params name, each once. Rejects with HostError DeviceNotFound, LimitExceeded. */
export async function chosenDevices(
  names: readonly string[],
  { host, limits, slice }: Call,
): Promise<PlatformDevice[]> {
  refuseMoreThan(limits, "max-devices", names.length, `devices: ${names.length} devices`, FEWER_DEVICES);
  return host.findAll(names, slice);
}

/** The devices of records. */
export function platformsOf(records: readonly DeviceRecord[]): PlatformDevice[] {
  return records.map(({ platform }) => platform);
}

function refuseSources({ devices = [], context, ioas, hosts = [] }: SourceParams, limits: Limits): void {
  if (context !== undefined && ioas === undefined) {
    throw invalidParams("context: says nothing without an ioas; give both, or neither");
  }
  if (devices.length === 0 && ioas === undefined && hosts.length === 0) throw invalidParams(NO_SOURCE);
  refuseMoreThan(limits, "max-hosts", hosts.length, `hosts: ${hosts.length} hosts`, FEWER_HOSTS);
  for (const [i, host] of hosts.entries()) refuseContradiction(host, `hosts[${i}]`);
  const lists = hosts.map((host) => toldOf(host).allowed ?? []);
  refuseTooManyRanges(limits, "hosts", lists, FEWER_HOSTS);
  const names = new Set<string>();
  for (const [i, { host }] of hosts.entries()) {
    if (names.size === names.add(host).size) {
      throw invalidParams(`hosts[${i}].host: ${quote(host)} stands there already; give each host once`);
    }
  }
}

type RemoteParams = z.output<ReturnType<typeof hostProfile>>;

/** The host's word on itself, in whichever of its two forms. */
function toldOf({ profile, ...members }: RemoteParams): Omit<RemoteParams, "host" | "profile"> {
  return profile ?? members;
}

/** @throws JSONRPCErrorException -32602 for a host without a list, or with two words on one thing */
function refuseContradiction({ host: _, profile, ...members }: RemoteParams, place: string): void {
  const [other] = Object.keys(members);
  if (profile === undefined && members.allowed === undefined) {
    throw invalidParams(
      `${place}.allowed: this member is required, or profile with what query-host-profile told`,
    );
  }
  if (profile !== undefined && other !== undefined) {
    throw invalidParams(`${place}.${other}: contradicts profile; give the profile and the host's name alone`);
  }
}

async function deviceSources(
  devices: readonly PlatformDevice[],
  blockers: readonly Blocker[],
  call: Call,
): Promise<Source[]> {
  const byDevice = new Map<string, Blocker[]>();
  for (const blocker of blockers) {
    const known = byDevice.get(blocker.device);
    if (known) known.push(blocker);
    else byDevice.set(blocker.device, [blocker]);
  }
  const known = await knownOf(devices, call);
  return call.slice.map(known, (each) =>
    deviceSource({ ...each, blockers: byDevice.get(each.platform.device) }),
  );
}

/** The IOAS, unless it restricts nothing. `chosen`: the devices that are named beside it. */
async function spaceSources(
  context: string,
  id: number,
  chosen: readonly PlatformDevice[],
  call: Call,
): Promise<Source[]> {
  const ioas = call.host.anyIoas(context, id);
  const allowed = await call.host.allowed(ioas);
  const { ranges, alignment } = allowed;
  const attached = await knownOf(call.host.attached(allowed), call);
  const source = await call.slice.run(ioasSource(ranges, alignment, attached));
  if (allowed.devices.length > 0 || source.claims.length > 0) return [source];
  // What nothing is attached to allows everything, and that is no promise to anybody.
  return chosen.length === 0 ? [{ ...source, gap: { emptyIoas: id } }] : [];
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
