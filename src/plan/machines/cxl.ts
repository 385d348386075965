import type { Window } from "../layout.ts";
import { MiB, roundUp, windowOf } from "./memory-map.ts";

/** QEMU's machine options for CXL. */
export interface Cxl {
  readonly cxl?: boolean | undefined;
  /** The sizes of all `cxl-fmw` together: each is a multiple of the alignment, so they follow each other closely. */
  readonly cxlFmwSize?: bigint | undefined;
}

/** Of fixed memory windows (`hw/cxl/cxl-host.c: cxl_fixed_memory_window_config`). */
export const CXL_FMW_ALIGNMENT = 256n * MiB;
/** For the registers of CXL host bridges (`hw/i386/pc.c: pc_memory_init`). */
const HOST_REGISTERS = MiB;

/**
 * What CXL puts above all memory, and an address above that, to be rounded to a gigabyte (`hw/i386/pc.c:
 * pc_get_cxl_range_end`). Without CXL nothing, and `start`. QEMU serves these windows itself, so VFIO maps none of them.
 */
export function cxlAbove(start: bigint, { cxl, cxlFmwSize = 0n }: Cxl): { windows: Window[]; end: bigint } {
  if (!cxl) return { windows: [], end: start };
  const fixed = roundUp(start + HOST_REGISTERS, CXL_FMW_ALIGNMENT);
  const windows = [
    ...windowOf("cxl-host", start, HOST_REGISTERS, false),
    ...windowOf("cxl-fmw", fixed, cxlFmwSize, false),
  ];
  return { windows, end: fixed + cxlFmwSize };
}
