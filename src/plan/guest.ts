import type { Steps } from "../ranges/steps.ts";
import type { Window } from "./layout.ts";
import { type Machine, machineWindows } from "./machines.ts";
import { parseMtree } from "./mtree.ts";

/** The least that a host's page has: QEMU maps whole ones, whatever the IOMMU could do. */
const PAGE_SIZE = 4096n;

/** What tells a guest's memory map: a machine, or the mtree of a guest that runs, and windows beside it. */
export interface GuestParams {
  readonly machine?: Machine | undefined;
  readonly mtree?: string | undefined;
  readonly layout?: readonly Window[] | undefined;
}

/**
 * All windows of a guest on a host with this alignment of mappings, as far as it is known, in the order machine or mtree,
 * then layout.
 * @throws RangeError that begins with the member that is refused
 */
export function* guestWindows(
  { machine, mtree, layout = [] }: GuestParams,
  alignment: bigint | null = null,
): Steps<Window[]> {
  const pageSize = alignment !== null && alignment > PAGE_SIZE ? alignment : PAGE_SIZE;
  return [
    ...(machine ? yield* windowsFrom("machine", () => machineWindows(machine)) : []),
    ...(mtree === undefined ? [] : yield* windowsFrom("mtree", () => parseMtree(mtree, pageSize))),
    ...layout,
  ];
}

function* windowsFrom(member: string, make: () => Window[] | Steps<Window[]>): Steps<Window[]> {
  try {
    const made = make();
    const windows = Array.isArray(made) ? made : yield* made;
    if (windows.length > 0) return windows;
  } catch (error) {
    if (error instanceof RangeError) throw new RangeError(`${member}: ${error.message}`);
    throw error;
  }
  throw new RangeError(`${member}: no RAM in it`);
}
