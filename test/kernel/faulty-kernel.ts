import { constants, openSync, readSync, writeFileSync, writeSync } from "node:fs";
import koffi from "koffi";
import { type Pointer, SystemCallError } from "../../src/kernel/kernel.ts";
import { LinuxKernel } from "../../src/kernel/linux/linux-kernel.ts";
import { errnoName } from "../../src/uapi/errno.ts";

const library = koffi.load(null);
const open = library.func("int open(const char *path, int flags)");
const close = library.func("int close(int fd)");
const ioctl = library.func("int ioctl(int fd, unsigned long request, void *argument)");

/**
 * The kernel that this process runs on, with every call on this thread, in which `/proc/thread-self/fail-nth` makes one
 * chosen allocation fail (Documentation/fault-injection/fault-injection.rst). On kernels with CONFIG_IOMMUFD_TEST some
 * of iommufd's own steps count among the allocations, and fail with an errno of their own.
 */
export class FaultyKernel extends LinuxKernel {
  readonly #failNth = openSync("/proc/thread-self/fail-nth", "r+");
  /** What it has opened itself, and so closes itself. */
  readonly #opened = new Set<number>();
  #left = 0;

  constructor() {
    super();
    // Without this only allocations that may not sleep would count.
    for (const kind of ["failslab", "fail_page_alloc"]) setting(kind, "ignore-gfp-wait", "N");
    setting("fail_page_alloc", "min-order", "0");
    for (const kind of ["failslab", "fail_page_alloc", "fail_iommufd"]) setting(kind, "verbose", "0");
  }

  /** From now on, opens, ioctls and closes count; their n-th allocation fails. */
  failNth(n: number): void {
    this.#left = n;
  }

  /** Ends it. Whether it has come to that allocation. */
  hasFailed(): boolean {
    const failed = this.#left === 0;
    this.#left = 0;
    return failed;
  }

  override open(path: string): number {
    const fd = this.#call("open", () => open(path, constants.O_RDWR | 0o2000000));
    this.#opened.add(fd);
    return fd;
  }

  override async close(fd: number): Promise<void> {
    if (this.#opened.delete(fd)) this.#call("close", () => close(fd));
    else await super.close(fd);
  }

  override ioctl(fd: number, request: number, argument: Uint8Array, ...pointers: Pointer[]): number {
    const view = new DataView(argument.buffer, argument.byteOffset, argument.byteLength);
    for (const { offset, target } of pointers) view.setBigUint64(offset, koffi.address(target), true);
    return this.#call(`ioctl 0x${request.toString(16)}`, () => ioctl(fd, request, argument));
  }

  override async slowIoctl(
    fd: number,
    request: number,
    argument: Uint8Array,
    ...pointers: Pointer[]
  ): Promise<number> {
    return this.ioctl(fd, request, argument, ...pointers);
  }

  #call(name: string, call: () => number): number {
    const armed = this.#left > 0;
    if (armed) writeSync(this.#failNth, String(this.#left));
    const result = call();
    const errno = result < 0 ? koffi.errno() : 0;
    if (armed) {
      const text = Buffer.alloc(16);
      this.#left = Number.parseInt(text.toString("latin1", 0, readSync(this.#failNth, text, 0, 16, 0)), 10);
      writeSync(this.#failNth, "0");
    }
    if (errno !== 0) throw new SystemCallError(errnoName(errno), name);
    return result;
  }
}

function setting(kind: string, name: string, value: string): void {
  writeFileSync(`/sys/kernel/debug/${kind}/${name}`, value);
}
