import { constants } from "node:os";

/**
 * errno by name. The numbers are those of the machine this runs on, from Node's own table; EBADFD, which that
 * table lacks, is 77 in `asm-generic/errno.h`, which x86, arm64, riscv and loongarch share.
 */
const ERRNO = { ...constants.errno, EBADFD: 77 };

/** The name of an errno, e.g. "EBUSY"; "ERRNO_nnn" for a number without a name here. */
export type ErrnoName = keyof typeof ERRNO | `ERRNO_${number}`;

const NAMES = new Map(Object.entries(ERRNO).map(([name, number]) => [number, name as ErrnoName]));

/** The name of a positive errno. Aliases (EAGAIN, EWOULDBLOCK) come back as one of their names. */
export function errnoName(errno: number): ErrnoName {
  return NAMES.get(errno) ?? `ERRNO_${errno}`;
}
