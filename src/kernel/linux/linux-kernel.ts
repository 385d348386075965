import { existsSync, fstatSync, readdirSync, readFileSync, readlinkSync, readSync } from "node:fs";
import { endianness, release } from "node:os";
import { join } from "node:path";
import { loadFiles } from "../../libc/files.ts";
import { addressOf } from "../../libc/library.ts";
import { whenReadable } from "../../libc/readiness.ts";
import { errnoName } from "../../uapi/errno.ts";
import { type DeviceEvent, type FileUse, type Kernel, type Pointer, SystemCallError } from "../kernel.ts";
import type { Found } from "./search.ts";
import type { BlockingCall } from "./thread.ts";
import { ThreadPool } from "./thread-pool.ts";
import { openUevents, type Uevents } from "./uevents.ts";

/** Architectures whose `_IOC_NONE` is 0, so that iommufd's and VFIO's numbers are those of `src/uapi`. */
const ARCHITECTURES = ["x64", "arm64", "riscv64", "loong64"];

/** Slow calls at a time: more than devices are ever bound at once, few enough in memory (8 to 12 MiB a thread). */
const MAX_THREADS = 16;
const IDLE_MILLISECONDS = 5_000;

/**
 * The kernel this process runs on.
 *
 * No call is repeated on EINTR: iommufd and VFIO sleep uninterruptibly in every command made here, and a repeated
 * close(2) could close somebody else's descriptor.
 */
export class LinuxKernel implements Kernel {
  readonly backend = "linux";
  readonly release = release();
  readonly #files = loadFiles();
  readonly #threads = new ThreadPool<BlockingCall>({
    script: join(import.meta.dirname, "thread.js"),
    maxThreads: MAX_THREADS,
    idleTimeout: IDLE_MILLISECONDS,
  });
  readonly #searches = new ThreadPool<string, Found>({
    script: join(import.meta.dirname, "search.js"),
    maxThreads: 1,
    idleTimeout: IDLE_MILLISECONDS,
  });
  /** What calls under way point to. The garbage collector cannot see that the kernel still uses it. */
  readonly #pinned = new Set<readonly Uint8Array[]>();
  readonly #underWay = new Set<Promise<unknown>>();
  /** Ends the watch on a descriptor; eventfds only. */
  readonly #watches = new Map<number, () => void>();
  #uevents: Uevents | undefined;

  /** Throws where ioctl numbers or byte order would be wrong. */
  constructor() {
    if (!ARCHITECTURES.includes(process.arch) || endianness() !== "LE") {
      throw new Error(
        `iovad does not run on ${process.arch}: it knows the ioctl numbers of ${ARCHITECTURES.join(", ")}, little-endian`,
      );
    }
  }

  open(path: string): number {
    return check(this.#files.open(path), "open");
  }

  duplicate(fd: number): number {
    return check(this.#files.duplicate(fd), "fcntl");
  }

  passable(fd: number): number {
    return fd;
  }

  deviceNumber(fd: number): string {
    const { rdev } = systemCall(() => fstatSync(fd, { bigint: true }));
    // gnu_dev_major and gnu_dev_minor of the C library's sys/sysmacros.h, by which libuv puts the number together.
    const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & 0xffff_f000n);
    const minor = (rdev & 0xffn) | ((rdev >> 12n) & 0xffff_ff00n);
    return `${major}:${minor}`;
  }

  async close(fd: number): Promise<void> {
    this.#watches.get(fd)?.();
    this.#watches.delete(fd);
    const close: BlockingCall = { name: "close", fd };
    // A descriptor has to go also when no thread can be had: then the loop waits.
    check(await this.#block(close, []).catch(() => this.#files.close(fd)), "close");
  }

  ioctl(fd: number, request: number, argument: Uint8Array | number, ...pointers: Pointer[]): number {
    const buffers = fillIn(argument, pointers);
    this.#pinned.add(buffers);
    try {
      return check(this.#files.ioctl(fd, request, wordOf(argument)), ioctlName(request));
    } finally {
      this.#pinned.delete(buffers);
    }
  }

  async slowIoctl(
    fd: number,
    request: number,
    argument: Uint8Array | number,
    ...pointers: Pointer[]
  ): Promise<number> {
    const buffers = fillIn(argument, pointers);
    const call: BlockingCall = { name: "ioctl", fd, request, argument: wordOf(argument) };
    const result = await this.#block(call, buffers).catch((reason: unknown) => {
      // What pthread_create(3) says of the same; the ioctl has not been made.
      throw Object.assign(new SystemCallError("EAGAIN", ioctlName(request)), { cause: reason });
    });
    return check(result, ioctlName(request));
  }

  eventfd(signalled: () => void): number {
    const fd = check(this.#files.eventfd(), "eventfd2");
    const count = new Uint8Array(8);
    const read = () => {
      systemCall(() => readSync(fd, count));
      signalled();
    };
    try {
      this.#watches.set(fd, whenReadable(fd, read));
    } catch (error) {
      this.#files.close(fd);
      throw Object.assign(new SystemCallError("ENOMEM", "epoll_ctl"), { cause: error });
    }
    return fd;
  }

  watchDevices(heard: (event: DeviceEvent) => void): void {
    this.#uevents?.close();
    this.#uevents = undefined;
    this.#uevents = openUevents(heard);
  }

  readFile(path: string, encoding: "utf8" | "latin1" = "utf8"): string {
    return systemCall(() => readFileSync(path, encoding));
  }

  readDirectory(path: string): string[] {
    return systemCall(() => readdirSync(path));
  }

  readLink(path: string): string {
    return systemCall(() => readlinkSync(path));
  }

  async openFiles(prefix: string): Promise<FileUse[]> {
    const found = await this.#track(this.#searches.run(prefix)).catch((reason: unknown) => {
      throw Object.assign(new SystemCallError("EAGAIN", "pthread_create"), { cause: reason });
    });
    if ("errno" in found) throw new SystemCallError(errnoName(found.errno), found.call);
    return [...found.uses];
  }

  exists(path: string): boolean {
    return existsSync(path);
  }

  async shutdown(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
    await Promise.all([this.#threads.stop(), this.#searches.stop()]);
    this.#uevents?.close();
    this.#uevents = undefined;
  }

  async #block(call: BlockingCall, buffers: readonly Uint8Array[]): Promise<number> {
    const result = this.#threads.run(call);
    this.#pinned.add(buffers);
    try {
      return await this.#track(result);
    } finally {
      this.#pinned.delete(buffers);
    }
  }

  async #track<T>(call: Promise<T>): Promise<T> {
    this.#underWay.add(call);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
    }
  }
}

/** What ioctl(2) gets as its third parameter: an address, or the number itself. */
function wordOf(argument: Uint8Array | number): bigint {
  return typeof argument === "number" ? BigInt(argument) : addressOf(argument);
}

/** Writes each target's address into its word; returns every buffer the call touches. */
function fillIn(argument: Uint8Array | number, pointers: readonly Pointer[]): readonly Uint8Array[] {
  if (typeof argument === "number") return [];
  const view = new DataView(argument.buffer, argument.byteOffset, argument.byteLength);
  for (const { offset, target } of pointers) view.setBigUint64(offset, addressOf(target), true);
  return [argument, ...pointers.map(({ target }) => target)];
}

function ioctlName(request: number): string {
  return `ioctl 0x${request.toString(16)}`;
}

function check(result: number, call: string): number {
  if (result < 0) throw new SystemCallError(errnoName(-result), call);
  return result;
}

/** Runs a synchronous function of node:fs; its error becomes a SystemCallError. */
function systemCall<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    const { errno, syscall } = error as NodeJS.ErrnoException;
    if (errno === undefined || syscall === undefined) throw error;
    throw new SystemCallError(errnoName(-errno), syscall);
  }
}
