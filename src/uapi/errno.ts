import { constants } from "node:os";

/**
 * errno by name. The numbers are those of the machine this runs on, from Node's own table; what that table lacks has
 * its number from `asm-generic/errno.h`, which x86, arm64, riscv and loongarch share.
 */
const { EWOULDBLOCK: _alias, ...named } = constants.errno;
const ERRNO = { ...named, EBADFD: 77, ETOOMANYREFS: 109 };

/** The name of an errno, e.g. "EBUSY"; "ERRNO_nnn" for a number without a name here. */
export type ErrnoName = keyof typeof ERRNO | `ERRNO_${number}`;

const NAMES = new Map(Object.entries(ERRNO).map(([name, number]) => [number, name as ErrnoName]));

/** The name of a positive errno. Of two names for one number it is the one in the kernel's sources: EAGAIN, EOPNOTSUPP. */
export function errnoName(errno: number): ErrnoName {
  return NAMES.get(errno) ?? `ERRNO_${errno}`;
}
