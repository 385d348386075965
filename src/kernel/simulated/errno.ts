import type { ErrnoName } from "../../uapi/errno.ts";

/**
 * What kernel code returns as -EFOO; at the system call it becomes a SystemCallError with the call's name. No Error:
 * nobody reads the stack of one, and a look at a path that is not there takes most of its time to note it.
 */
export class Errno {
  readonly code: ErrnoName;

  constructor(code: ErrnoName) {
    this.code = code;
  }
}
