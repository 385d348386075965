import type { ErrnoName } from "../../uapi/errno.ts";

/**
 * What kernel code returns as -EFOO; at the system call it becomes a SystemCallError with the call's name. It is no
 * Error, for nobody reads its stack, and noting that takes longer than finding that a path is not there.
 */
export class Errno {
  readonly code: ErrnoName;

  constructor(code: ErrnoName) {
    this.code = code;
  }
}
