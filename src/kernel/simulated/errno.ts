import type { ErrnoName } from "../../uapi/errno.ts";

/** What kernel code returns as -EFOO; at the system call it becomes a SystemCallError with the call's name. */
export class Errno extends Error {
  readonly code: ErrnoName;

  constructor(code: ErrnoName) {
    super(code);
    this.code = code;
  }
}
