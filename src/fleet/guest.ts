import { z } from "zod";
import { UsageError } from "../command-line.ts";
import type { Guest } from "../plan/fleet/check.ts";
import type { Window } from "../plan/layout.ts";
import { machineWindows } from "../plan/machines.ts";
import { parseMtree } from "../plan/mtree.ts";
import { finish } from "../ranges/steps.ts";
import { layoutParams } from "../rpc/methods/layout-params.ts";

/** The least that a host's page has: QEMU maps whole ones. */
const PAGE_SIZE = 4096n;

const params = z.strictObject(layoutParams());

/** A guest as check-layout's params describe it (machine or mtree, and layout). @throws UsageError */
export function guestOf(given: object): Guest {
  const { success, data, error } = params.safeParse(given);
  if (!success) {
    const [issue] = error.issues;
    throw new UsageError(`${issue?.path.join(".") || "the guest"}: ${issue?.message}`);
  }
  const { machine, mtree, layout = [] } = data;
  const windows = [
    ...(machine ? windowsFrom("machine", () => machineWindows(machine)) : []),
    ...(mtree === undefined ? [] : windowsFrom("mtree", () => finish(parseMtree(mtree, PAGE_SIZE)))),
    ...layout,
  ];
  return { windows, machine };
}

/** What the planner refuses is a fault of the command line. */
function windowsFrom(option: string, make: () => Window[]): Window[] {
  try {
    return make();
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`--${option}: ${error.message}`);
    throw error;
  }
}
