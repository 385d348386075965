import { U64_MAX } from "../../ranges/address.ts";
import { alignUp } from "../../ranges/align.ts";
import type { Window } from "../layout.ts";

export const MiB = 1n << 20n;
export const GiB = 1n << 30n;

/** QEMU's option `-m`, which all machines have. Sizes are in bytes. */
export interface Memory {
  /** `size`, greater than 0. */
  readonly memory: bigint;
  /** `maxmem`, not below `memory`; undefined: the same. */
  readonly maxMemory?: bigint | undefined;
  readonly slots?: number | undefined;
}

/** The window of `size` bytes from `start` on; none when there is nothing of it. */
export function windowOf(name: string, start: bigint, size: bigint, required: boolean): Window[] {
  return size > 0n ? [{ name, start, last: start + size - 1n, required }] : [];
}

/** As QEMU's ROUND_UP; beyond 64 bits it is enough that the result is, too. */
export function roundUp(address: bigint, alignment: bigint): bigint {
  return address > U64_MAX ? address : (alignUp(address, alignment) ?? U64_MAX + 1n);
}
