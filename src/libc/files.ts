import { constants } from "node:fs";
import { lazily } from "../lazily.ts";
import { loadLibrary, type Pointer } from "./library.ts";

/** The system calls on files that Node.js has no function for. Each returns the call's result, or `-errno`. */
export interface Files {
  /** Read-write and close-on-exec. */
  open(path: string): number;
  close(fd: number): number;
  ioctl(fd: number, request: number, argument: Pointer): number;
  /** Another descriptor of the same open file, close-on-exec. */
  duplicate(fd: number): number;
  /** An eventfd with the count 0, non-blocking and close-on-exec. */
  eventfd(): number;
  /** A file of no file system, close-on-exec: it is there for as long as anybody has it open. */
  memfd(name: string): number;
  /** Puts the read end and the write end of a pipe into `fds`, two native 32-bit numbers; close-on-exec. */
  pipe(fds: Uint8Array): number;
}

/** Of `asm-generic/fcntl.h` and `linux/fcntl.h`, which Node's constants lack. */
const O_CLOEXEC = 0o2000000;
const F_DUPFD_CLOEXEC = 1030;
/** Of `linux/eventfd.h`, as x86, arm64, riscv and loongarch have them. */
const EFD_CLOEXEC = O_CLOEXEC;
const EFD_NONBLOCK = 0o4000;
/** Of `linux/memfd.h`. */
const MFD_CLOEXEC = 1;

/** Throws Error where native code cannot be loaded. */
export const loadFiles = lazily((): Files => {
  const bind = loadLibrary();
  // ioctl and fcntl are variadic in C. On the supported architectures an argument goes where a named one would.
  const ioctl = bind("int ioctl(int fd, unsigned long request, void *argument)");
  const fcntl = bind("int fcntl(int fd, int command, int argument)");
  const open = bind("int open(const char *path, int flags)");
  const close = bind("int close(int fd)");
  const eventfd = bind("int eventfd(unsigned int count, int flags)");
  const memfd = bind("int memfd_create(const char *name, unsigned int flags)");
  const pipe = bind("int pipe2(int *fds, int flags)");
  return {
    open: (path) => open(path, constants.O_RDWR | O_CLOEXEC),
    close: (fd) => close(fd),
    ioctl: (fd, request, argument) => ioctl(fd, request, argument),
    duplicate: (fd) => fcntl(fd, F_DUPFD_CLOEXEC, 0),
    eventfd: () => eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
    memfd: (name) => memfd(name, MFD_CLOEXEC),
    pipe: (fds) => pipe(fds, O_CLOEXEC),
  };
});
