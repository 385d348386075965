import * as z from "zod";
import { DEFAULT_CONTEXT } from "../../host/contexts/contexts.ts";
import type { Allowed, Ioas } from "../../host/contexts/ioas.ts";
import { ioasRecord } from "../../host/snapshot.ts";
import { formatAddress } from "../../ranges/address.ts";
import { NamedRanges } from "../../ranges/named-ranges.ts";
import { invalidParams } from "../errors.ts";
import { context, contextName, deviceName, ioasId, namedRangeList } from "../inputs.ts";
import { defineMethod } from "../method.ts";
import { toWireIoas, wireIoas } from "../records.ts";
import { toWireNamedRange, toWireRanges, wireAddress, wireNamedRanges, wireRanges } from "../wire.ts";
import { ownContext, ownIoas } from "./ownership.ts";
import { refuseTooManyRanges } from "./planning-limits.ts";

const FEWER_RANGES = "allow what the guest's memory map needs as fewer, larger ranges";

export const queryIoas = defineMethod({
  name: "query-ioas",
  role: "observe",
  summary: "The IO address spaces: of every context, of one, or just one.",
  params: () => z.strictObject({ context: contextName().optional(), ioas: ioasId().optional() }),
  result: () =>
    z.object({
      ioas: z.array(wireIoas()),
    }),
  errors: ["ContextNotFound", "IoasNotFound", "NotSupported", "KernelError"],
  handler: async (params, { host }) => {
    if (params.ioas !== undefined) {
      const ioas = host.anyIoas(params.context ?? DEFAULT_CONTEXT, params.ioas);
      if (ioas.isDiscovered) await host.allowed(ioas);
      return { ioas: [toWireIoas(ioasRecord(ioas))] };
    }
    const all: Ioas[] = [];
    for (const context of params.context === undefined ? host.contexts() : [host.context(params.context)]) {
      const others = context.shared ? await host.discover(context) : [];
      all.push(...context.ioases.values(), ...others);
    }
    return { ioas: all.map((ioas) => toWireIoas(ioasRecord(ioas))) };
  },
});

export const queryAllowedRanges = defineMethod({
  name: "query-allowed-ranges",
  role: "observe",
  summary: "The IO virtual addresses that everything attached to an IOAS can use: the kernel's own answer.",
  params: () => z.strictObject({ context: context(), ioas: ioasId() }),
  result: () =>
    z.object({
      context: contextName(),
      ioas: ioasId(),
      ranges: wireRanges(),
      "iova-alignment": wireAddress().meta({
        description: "Start and length of every mapping are multiples of it",
      }),
      devices: z
        .array(deviceName())
        .meta({ description: "With none attached, a full range promises nothing" }),
      cached: z.boolean(),
      generation: z.int().meta({ description: "Grows by one whenever this answer may have changed" }),
    }),
  errors: ["ContextNotFound", "IoasNotFound", "NotSupported", "KernelError"],
  handler: (params, { host }) => {
    const ioas = host.anyIoas(params.context, params.ioas);
    const answer = host.allowed(ioas);
    return answer instanceof Promise
      ? answer.then((allowed) => toWireAllowed(params.context, ioas, allowed))
      : keptWireAllowed(params.context, ioas, answer);
  },
});

/** The wire form of kept answers, for as long as they are kept; frozen, so that its text is kept as well. */
const keptForms = new WeakMap<Allowed, ReturnType<typeof toWireAllowed>>();

function keptWireAllowed(name: string, ioas: Ioas, allowed: Allowed) {
  const kept = keptForms.get(allowed);
  if (kept) return kept;
  const form = Object.freeze(toWireAllowed(name, ioas, allowed));
  keptForms.set(allowed, form);
  return form;
}

function toWireAllowed(name: string, { id }: Ioas, allowed: Allowed) {
  const { ranges, alignment, devices, cached, generation } = allowed;
  return {
    context: name,
    ioas: id,
    ranges: toWireRanges(ranges),
    "iova-alignment": formatAddress(alignment),
    devices: [...devices],
    cached,
    generation,
  };
}

export const createIoas = defineMethod({
  name: "create-ioas",
  role: "control",
  summary: "Makes an IO address space.",
  params: () => z.strictObject({ context: context() }),
  result: () => z.object({ context: contextName(), ioas: ioasId() }),
  errors: ["ContextNotFound", "PermissionDenied", "LimitExceeded", "NotSupported", "KernelError"],
  handler: ({ context: name }, call) => {
    ownContext(name, call);
    return { context: name, ioas: call.host.createIoas(name, call.connection.peer.uid).id };
  },
});

export const destroyIoas = defineMethod({
  name: "destroy-ioas",
  role: "control",
  summary: "Destroys an IO address space that has no device attached.",
  params: () => z.strictObject({ context: context(), ioas: ioasId() }),
  result: () => z.object({}),
  errors: ["ContextNotFound", "IoasNotFound", "PermissionDenied", "IoasBusy", "NotSupported", "KernelError"],
  handler: ({ context: name, ioas }, call) => {
    ownIoas(name, ioas, call);
    call.host.destroyIoas(name, ioas);
    return {};
  },
});

export const allowRanges = defineMethod({
  name: "allow-ranges",
  role: "control",
  summary:
    "Makes the kernel keep ranges usable in an IOAS: an attach that would take them away is refused. An empty list allows everything.",
  params: () => z.strictObject({ context: context(), ioas: ioasId(), ranges: namedRangeList() }),
  result: () => z.object({ context: contextName(), ioas: ioasId(), ranges: wireNamedRanges() }),
  errors: [
    "ContextNotFound",
    "IoasNotFound",
    "PermissionDenied",
    "RangeConflict",
    "LimitExceeded",
    "NotSupported",
    "KernelError",
  ],
  handler: async ({ context: name, ioas, ranges }, call) => {
    refuseTooManyRanges(call.limits, "ranges", [ranges], FEWER_RANGES);
    const wanted = await call.slice.run(NamedRanges.from(ranges));
    for (const { start, last } of wanted) {
      if (start !== last) continue;
      throw invalidParams(
        `ranges: ${formatAddress(start)} stands alone, and the kernel refuses a range of one byte`,
      );
    }
    ownIoas(name, ioas, call);
    await call.host.allowRanges(name, ioas, wanted);
    return { context: name, ioas, ranges: Array.from(wanted, toWireNamedRange) };
  },
});
