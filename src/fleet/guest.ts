import { z } from "zod";
import { UsageError } from "../command-line.ts";
import type { Guest } from "../plan/fleet/check.ts";
import { guestWindows } from "../plan/guest.ts";
import { finish } from "../ranges/steps.ts";
import { layoutParams } from "../rpc/methods/layout-params.ts";

const params = z.strictObject(layoutParams());

/** A guest as check-layout's params describe it (machine or mtree, and layout). @throws UsageError */
export function guestOf(given: object): Guest {
  const { success, data, error } = params.safeParse(given);
  if (!success) {
    const [issue] = error.issues;
    throw new UsageError(`${issue?.path.join(".") || "the guest"}: ${issue?.message}`);
  }
  try {
    return { windows: finish(guestWindows(data)), machine: data.machine };
  } catch (error) {
    if (error instanceof RangeError) throw new UsageError(`--${error.message}`);
    throw error;
  }
}
