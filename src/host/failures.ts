import { SystemCallError } from "../kernel/kernel.ts";
import { HostError } from "./errors.ts";

/**
 * What a failed system call means for the client. An errno is evidence, not a diagnosis (a failed allocation inside an
 * ATTACH was seen as ENOENT and EINVAL): each function first asks what the model knows, and what nobody can tell
 * stays a KernelError with the errno.
 */

/** Throws again what is not a failed system call. */
export function systemCallError(error: unknown): SystemCallError {
  if (error instanceof SystemCallError) return error;
  throw error;
}

/** An errno that says nothing more specific. `operation` is the ioctl's or call's name in the kernel's headers. */
export function kernelError(error: unknown, operation: string): HostError {
  const { code } = systemCallError(error);
  return new HostError(
    "KernelError",
    `the kernel refused ${operation} with ${code}; its log may say why (dmesg)`,
    {
      errno: code,
      operation,
    },
  );
}

/** What sysfs could not be read for is nobody's mistake: no descriptors are left, for one. */
function sysfsFailure(error: unknown): unknown {
  return error instanceof SystemCallError ? kernelError(error, `${error.call} in sysfs`) : error;
}

/** What a look at sysfs finds. Rejects with HostError KernelError when that cannot be read. */
export async function readable<T>(look: Promise<T>): Promise<T> {
  try {
    return await look;
  } catch (error) {
    throw sysfsFailure(error);
  }
}

/** As {@link readable}, at once. */
export function readableNow<T>(look: () => T): T {
  try {
    return look();
  } catch (error) {
    throw sysfsFailure(error);
  }
}

/** Whether an open failed because there is no such node, or nothing behind it. */
export function isAbsent(code: string): boolean {
  return ["ENOENT", "ENODEV", "ENXIO"].includes(code);
}

/** The errno of a failed system call; undefined for any other error. */
export function errnoOf(error: unknown): string | undefined {
  return error instanceof SystemCallError ? error.code : undefined;
}
