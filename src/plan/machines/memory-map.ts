import { formatAddress, U64_MAX } from "../../ranges/address.ts";
import { alignUp } from "../../ranges/align.ts";
import type { Window } from "../layout.ts";

export const MiB = 1n << 20n;
export const GiB = 1n << 30n;

/** QEMU's option `-m`, which all its machines have. Sizes are in bytes. */
export interface Memory {
  /** `size`, greater than 0. */
  readonly memory: bigint;
  /** `maxmem`; undefined: the same. */
  readonly maxMemory?: bigint | undefined;
  readonly slots?: number | undefined;
}

/** `-m` as the board gets it: `size` rounded, `slots` counted in gigabytes where a page of one may need aligning. */
export interface Ram {
  readonly size: bigint;
  readonly maxSize: bigint;
  readonly slots: bigint;
}

/**
 * `hw/core/machine.c: machine_set_mem`.
 * @throws RangeError with QEMU's reason for what it refuses
 */
export function ramOf({ memory, maxMemory, slots }: Memory): Ram {
  const size = roundUp(memory, 8192n);
  if (maxMemory === undefined) {
    if (slots !== undefined) throw refused("slots specified but no max-size", "give max-memory, too");
    return { size, maxSize: size, slots: 0n };
  }
  const [max, initial] = [formatAddress(maxMemory), formatAddress(size)];
  if (maxMemory < size) {
    throw refused(`maxmem ${max} must be at least the initial memory size, ${initial}`, "raise max-memory");
  }
  if (maxMemory === size && slots) {
    throw refused(
      `memory slots were specified but maxmem ${max} is equal to the initial memory size`,
      "raise max-memory, or leave slots out",
    );
  }
  return { size, maxSize: maxMemory, slots: BigInt(slots ?? 0) };
}

/** What QEMU would end with, in its own terms, and what to do. */
export function refused(reason: string, advice: string): RangeError {
  return new RangeError(`QEMU refuses this guest: ${reason}; ${advice}`);
}

/** The window of `size` bytes from `start` on; none when there is nothing of it. */
export function windowOf(name: string, start: bigint, size: bigint, required: boolean): Window[] {
  return size > 0n ? [{ name, start, last: start + size - 1n, required }] : [];
}

/** As QEMU's ROUND_UP; beyond 64 bits it is enough that the result is, too. */
export function roundUp(address: bigint, alignment: bigint): bigint {
  return address > U64_MAX ? address : (alignUp(address, alignment) ?? U64_MAX + 1n);
}
