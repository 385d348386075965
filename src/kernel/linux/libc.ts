import { constants } from "node:fs";
import koffi from "koffi";

/** The argument of an ioctl: bytes of this thread, or an address that another thread of the process keeps alive. */
export type Argument = Uint8Array | bigint;

/**
 * The system calls Node.js has no function for. Each returns the call's result, or `-errno` as the kernel itself
 * does: errno is per thread and has to be read right after the call.
 */
export interface Libc {
  open(path: string): number;
  close(fd: number): number;
  ioctl(fd: number, request: number, argument: Argument): number;
}

/** O_CLOEXEC of `asm-generic/fcntl.h`, which Node's constants lack. */
const O_CLOEXEC = 0o2000000;

/** Binds the C library this process already runs on, whichever that is (glibc, musl). */
export function loadLibc(): Libc {
  const library = koffi.load(null);
  // ioctl is variadic in C. On the supported architectures a pointer goes where a named one would.
  const ioctl = library.func("int ioctl(int fd, unsigned long request, void *argument)");
  const open = library.func("int open(const char *path, int flags)");
  const close = library.func("int close(int fd)");
  const outcome = (result: number): number => (result < 0 ? -koffi.errno() : result);
  return {
    open: (path) => outcome(open(path, constants.O_RDWR | O_CLOEXEC)),
    close: (fd) => outcome(close(fd)),
    ioctl: (fd, request, argument) => outcome(ioctl(fd, request, argument)),
  };
}

/**
 * Where the bytes are. Asking moves small arrays out of V8's heap for good, so the address is valid for as long as
 * the array is referenced; nothing but the caller's reference keeps it so.
 */
export function addressOf(bytes: Uint8Array): bigint {
  return koffi.address(bytes);
}
