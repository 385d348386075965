import type { NamedRanges } from "../../ranges/named-ranges.ts";
import type { Tell } from "../changes.ts";
import { HostError } from "../errors.ts";
import { errnoOf, kernelError } from "../failures.ts";
import { conflictsIn, type KnownDevice } from "../knowledge/claims.ts";
import type { UnderWay } from "../survival/under-way.ts";
import type { Ioas } from "./ioas.ts";

/**
 * Makes the kernel promise that the ranges of `list` stay usable in the IOAS: an attach that would take them away is
 * refused from now on. `devices` are those attached, for naming who is in the way; `lost` knows when the IOAS is gone;
 * `tell` is told of another list. Rejects with HostError RangeConflict, IoasNotFound or KernelError; the old list is then still in force.
 */
export async function allowRanges(
  ioas: Ioas,
  list: NamedRanges,
  devices: readonly KnownDevice[],
  lost: (error: unknown, ioas: Ioas) => HostError | undefined,
  tell: Tell,
  underWay: UnderWay,
): Promise<void> {
  const { context, id } = ioas;
  const ended = underWay.begin({ operation: "allow", context: context.name, ioas: id, list: [...list] });
  try {
    await ioas.allow(list, () =>
      tell({ event: "ALLOW_LIST_CHANGED", context: context.name, ioas: id, allowList: ioas.allowList }),
    );
  } catch (error) {
    if (errnoOf(error) !== "EADDRINUSE")
      throw lost(error, ioas) ?? kernelError(error, "IOMMU_IOAS_ALLOW_IOVAS");
    const { ranges } = list;
    const answer = await ioas.read().catch(() => undefined);
    const denied = answer && ranges.subtract(answer.ranges);
    throw new HostError(
      "RangeConflict",
      `IOAS ${ioas.id} cannot allow ranges that its devices reserve; query-allowed-ranges tells what is left`,
      { errno: "EADDRINUSE", ...conflictsIn(ranges, devices, denied) },
    );
  } finally {
    ended();
  }
}
