import * as z from "zod";
import type { Exclusion } from "../../attribution/attribution.ts";
import { DEFAULT_CONTEXT } from "../../host/contexts/contexts.ts";
import { lazily } from "../../lazily.ts";
import type { Limits } from "../../limits.ts";
import { guestWindows } from "../../plan/guest.ts";
import { type CheckedWindow, checkLayout, type Window } from "../../plan/layout.ts";
import { comparedWith } from "../../plan/machines.ts";
import { exclusions, type Plan, unexplained } from "../../plan/plan.ts";
import { formatAddress } from "../../ranges/address.ts";
import { NamedRanges } from "../../ranges/named-ranges.ts";
import { mapInSteps, type Steps } from "../../ranges/steps.ts";
import { invalidParams } from "../errors.ts";
import { type Call, defineMethod } from "../method.ts";
import type { TimeSlice } from "../time-slice.ts";
import { toWireExclusion, toWireRange, wireAddress, wireExclusion } from "../wire.ts";
import { allowRanges } from "./address-spaces.ts";
import { hintsFor } from "./hints.ts";
import { layoutParams } from "./layout-params.ts";
import { ownIoas } from "./ownership.ts";
import { causes, toWireWorth, worth } from "./planning.ts";
import { causeBudget, conflictBudget, refuseMoreThan } from "./planning-limits.ts";
import { remediesFor, toWireRemedy, wireRemedy } from "./remedies.ts";
import { planFor, sources } from "./sources.ts";

const paramsType = lazily(() =>
  z.strictObject({
    ...layoutParams(),
    ...sources(),
    causes: causes(),
    enforce: z.boolean().default(false).meta({
      description:
        "When everything fits: make the kernel keep the windows usable in the IOAS, as allow-ranges does, under their names. Takes an ioas and the role control",
    }),
  }),
);
type Params = z.output<ReturnType<typeof paramsType>>;

const FEWER_WINDOWS = "check them in parts";
const FEWER_CAUSES = "leave them out with causes: false, or check the windows in parts";

export const checkLayoutMethod = defineMethod({
  name: "check-layout",
  role: "observe",
  takesControl: ({ enforce }) => enforce,
  summary: "Whether a guest's memory map fits, and for every window that does not, what forbids it.",
  params: paramsType,
  result: () =>
    z.object({
      fits: z.boolean().meta({
        description:
          "Whether a guest with these devices can have this layout: every required window fits, and nothing keeps a device from guests",
      }),
      ...worth(),
      "iova-alignment": wireAddress().nullable(),
      windows: z.array(
        z.object({
          name: z.string(),
          start: wireAddress(),
          last: wireAddress(),
          required: z.boolean().meta({
            description:
              "False for PCI holes, CXL and BARs: where they do not fit, devices cannot reach each other there, and the guest runs",
          }),
          fits: z.boolean(),
          misaligned: z.boolean().meta({ description: "It starts or ends off the iova-alignment" }),
          conflicts: z.array(wireExclusion()).meta({
            description: "Their causes are empty when none were asked for",
          }),
        }),
      ),
      remedies: z.array(wireRemedy()).meta({
        description:
          "What makes it fit, each alone and tried before it was offered; when it fits, what makes that certain. With causes: false, none that leaves a device out",
      }),
      enforced: z.boolean().meta({ description: "Whether the kernel now keeps the windows usable" }),
      "compared-with": z
        .array(z.string())
        .optional()
        .meta({
          description:
            "With a machine: the versions of its VMM whose memory maps ours was compared with, byte for byte; of others it is what their source says",
          examples: [["7.2", "10.0", "11.1"]],
        }),
    }),
  // To enforce a layout is to allow its ranges.
  errors: ["DeviceNotFound", ...allowRanges.errors],
  handler: async (params, call) => {
    if (params.enforce && params.ioas === undefined) {
      throw invalidParams("enforce: takes the ioas that is to keep the layout");
    }
    const { devices, context, ioas, hosts } = params;
    const given = { devices, context, ioas, hosts };
    const plan = await planFor(given, call);
    const windows = await call.slice.run(windowsOf(params, plan, call.limits));
    const promise = params.enforce ? await promiseOf(windows, call.slice) : NamedRanges.EMPTY;
    const checked = await call.slice.run(checkConflicts(plan, windows, params.causes, call.limits));
    const fits = checked.fits && plan.blockers.length === 0;
    const remedies = await remediesFor(params, given, plan, checked, call);
    const enforced = params.enforce && fits;
    if (enforced) await enforce(params, promise, call);
    return {
      fits,
      ...toWireWorth(plan),
      "iova-alignment": plan.alignment === null ? null : formatAddress(plan.alignment),
      windows: await toWireWindows(checked.windows, call),
      remedies: remedies.map(toWireRemedy),
      enforced,
      ...(params.machine ? { "compared-with": [...comparedWith(params.machine.type)] } : {}),
    };
  },
});

function checkConflicts(plan: Plan, windows: readonly Window[], causes: boolean, limits: Limits) {
  return causes
    ? checkLayout(plan, windows, exclusions, () => causeBudget(limits, FEWER_CAUSES))
    : checkLayout(plan, windows, unexplained, () => conflictBudget(limits, FEWER_WINDOWS));
}

/** All windows of the params; what the planner refuses is a fault of theirs. */
function* windowsOf(params: Params, { alignment }: Plan, limits: Limits): Steps<readonly Window[]> {
  const { machine, mtree, layout } = params;
  if (machine && mtree !== undefined) {
    throw invalidParams("mtree: contradicts machine; give the guest that runs, or the one that is planned");
  }
  if (!machine && mtree === undefined && layout === undefined) {
    throw invalidParams("layout: give windows here, or a machine, or an mtree");
  }
  try {
    const windows = yield* guestWindows(params, alignment);
    const count = windows.length;
    refuseMoreThan(limits, "max-windows", count, `layout: ${count} windows in all`, FEWER_WINDOWS);
    return windows;
  } catch (error) {
    if (error instanceof RangeError) throw invalidParams(error.message);
    throw error;
  }
}

/** What the kernel is to keep usable. Rejects with JSONRPCErrorException -32602 for what it would refuse or misread */
async function promiseOf(windows: readonly Window[], slice: TimeSlice): Promise<NamedRanges> {
  const promise = await slice.run(NamedRanges.from(windows.filter(({ required }) => required)));
  if (promise.isEmpty) throw invalidParams("enforce: a layout without required windows asks for nothing");
  for (const { start, last } of promise) {
    if (start === last) {
      throw invalidParams(`enforce: ${formatAddress(start)} stands alone, and the kernel refuses one byte`);
    }
  }
  return promise;
}

/** Rejects with HostError RangeConflict when the IOAS has changed since the check. */
async function enforce({ context, ioas }: Params, promise: NamedRanges, call: Call): Promise<void> {
  const wanted = ownIoas(context ?? DEFAULT_CONTEXT, ioas as number, call);
  await call.host.allowRanges(context ?? DEFAULT_CONTEXT, wanted.id, promise);
}

async function toWireWindows(windows: readonly CheckedWindow[], call: Call) {
  const { slice } = call;
  const hints = await hintsFor(
    windows.flatMap(({ conflicts }) => conflicts),
    call,
  );
  const toWire = (conflict: Exclusion) => toWireExclusion(conflict, hints.get(conflict));
  const all = [];
  for (const { name, start, last, required, fits, misaligned, conflicts: found } of windows) {
    const conflicts = await slice.run(mapInSteps(found, toWire));
    all.push({ name, ...toWireRange({ start, last }), required, fits, misaligned, conflicts });
    if (slice.isOver) await slice.pass();
  }
  return all;
}
