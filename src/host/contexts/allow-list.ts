import { RangeSet } from "../../ranges/range-set.ts";
import { HostError } from "../errors.ts";
import { errnoOf, kernelError } from "../failures.ts";
import { type Conflict, conflictsWith } from "../knowledge/conflicts.ts";
import type { Reserved } from "../knowledge/knowledge.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import type { Ioas } from "./ioas.ts";

/**
 * Makes the kernel promise that `ranges` stay usable in the IOAS: an attach that would take them away is refused from
 * now on. `devices` are those attached, for naming who is in the way; `lost` knows when the IOAS is gone. Rejects with
 * HostError RangeConflict, IoasNotFound or KernelError; the old list is then still in force.
 */
export async function allowRanges(
  ioas: Ioas,
  ranges: RangeSet,
  devices: readonly { readonly platform: PlatformDevice; readonly reserved: Reserved }[],
  lost: (error: unknown, ioas: Ioas) => HostError | undefined,
): Promise<void> {
  try {
    await ioas.allow(ranges);
  } catch (error) {
    if (errnoOf(error) !== "EADDRINUSE")
      throw lost(error, ioas) ?? kernelError(error, "IOMMU_IOAS_ALLOW_IOVAS");
    throw new HostError(
      "RangeConflict",
      `IOAS ${ioas.id} cannot allow ranges that its devices reserve; query-allowed-ranges tells what is left`,
      { errno: "EADDRINUSE", conflicts: await conflictsIn(ioas, ranges, devices) },
    );
  }
}

/** The parts of `ranges` that the kernel excludes; what no device accounts for is `reserved-elsewhere`. */
async function conflictsIn(
  ioas: Ioas,
  ranges: RangeSet,
  devices: readonly { readonly platform: PlatformDevice; readonly reserved: Reserved }[],
): Promise<Conflict[]> {
  const answer = await ioas.read().catch(() => undefined);
  const excluded = answer ? ranges.subtract(answer.ranges) : ranges;
  const known = devices.flatMap(({ platform, reserved }) => conflictsWith(excluded, platform, reserved));
  const rest = answer ? excluded.subtract(RangeSet.from(known)) : RangeSet.EMPTY;
  return [
    ...known,
    ...[...rest].map((range) => ({ ...range, causes: [{ kind: "reserved-elsewhere" as const }] })),
  ];
}
