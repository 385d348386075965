import { z } from "zod";
import { DEFAULT_CONTEXT } from "../../host/contexts/contexts.ts";
import type { Host } from "../../host/host.ts";
import type { PlatformDevice } from "../../host/platform/platform.ts";
import { makePlan, type Plan } from "../../plan/plan.ts";
import { deviceSource, hostSource, ioasSource, type Source } from "../../plan/sources.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { invalidParams } from "../errors.ts";
import { Turn } from "../turn.ts";
import { contextName, deviceName, ioasId } from "../types.ts";
import { refuseTooManyRanges } from "./planning-limits.ts";
import { hostProfile } from "./profile-type.ts";

/** The members of params that say who restricts a layout. All given are combined; with none, everything is allowed. */
export const sources = {
  devices: z
    .array(deviceName)
    .max(1024, { error: "at most 1024 devices" })
    .optional()
    .meta({ description: "Devices of this host; one that is named twice counts once" }),
  context: contextName.optional().meta({ description: "Of the IOAS; default when left out" }),
  ioas: ioasId.optional().meta({ description: "An IOAS, with everything that is attached to it" }),
  hosts: z
    .array(hostProfile)
    .max(256, { error: "at most 256 hosts" })
    .optional()
    .meta({ description: "Other hosts: what query-host-profile told there, or just a list" }),
};

/** How many devices are looked at before the event loop may be due. */
const PORTION = 16;

const sourcesObject = z.strictObject(sources);
type SourceParams = z.output<typeof sourcesObject>;

/**
 * The plan for all sources that the params name. `platforms` are the devices where the params do not say it.
 * @throws JSONRPCErrorException -32602 for a context without an IOAS, HostError DeviceNotFound, ContextNotFound,
 * IoasNotFound, LimitExceeded, KernelError
 */
export async function planFor(
  { devices = [], context, ioas, hosts = [] }: SourceParams,
  host: Host,
  platforms?: readonly PlatformDevice[],
): Promise<Plan> {
  if (context !== undefined && ioas === undefined) {
    throw invalidParams("context: says nothing without an ioas; give both, or neither");
  }
  refuseTooManyRanges(
    "hosts",
    hosts.map(({ allowed }) => allowed),
  );
  const chosen = platforms ?? (await host.findAll(devices));
  const all: Source[] = ioas === undefined ? [] : [await spaceSource(host, context ?? DEFAULT_CONTEXT, ioas)];
  const turn = new Turn();
  for (let i = 0; i < chosen.length; i += PORTION) {
    all.push(...(await host.reservedOf(chosen.slice(i, i + PORTION))).map(deviceSource));
    if (turn.isOver) await turn.pass();
  }
  for (const { host: name, allowed, exact = false, hint, ...rest } of hosts) {
    const alignment = rest["iova-alignment"] ?? null;
    all.push(hostSource({ host: name, allowed: RangeSet.from(allowed), alignment, exact, hint }));
  }
  return makePlan(all);
}

async function spaceSource(host: Host, context: string, id: number): Promise<Source> {
  const ioas = host.anyIoas(context, id);
  const { ranges, alignment } = await host.allowed(ioas);
  const attached = [...ioas.devices].flatMap((device) => host.platform.find(device) ?? []);
  return ioasSource(ranges, alignment, await host.reservedOf(attached));
}
