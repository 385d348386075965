import type { ErrnoName } from "../../uapi/errno.ts";
import { type Kernel, type Pointer, SystemCallError } from "../kernel.ts";
import { Errno } from "./errno.ts";
import { lookUp, type Node } from "./file-tree.ts";
import { Iommufd } from "./iommufd.ts";
import { Machine } from "./machine.ts";
import type { OpenFile } from "./open-file.ts";
import { fileSystemOf } from "./sysfs.ts";
import type { Topology } from "./topology.ts";
import { UserMemory } from "./user-memory.ts";
import { VfioFile } from "./vfio-file.ts";

/** Above what a process may have open, so that a descriptor from here is never one of Linux's by mistake. */
const FIRST_FD = 0x4000_0000;

/**
 * A kernel in memory, with iommufd, VFIO cdevs and sysfs of the host that a topology describes. It takes the same
 * numbers and bytes as Linux 6.12 and answers with the same bytes and errno.
 */
export class SimulatedKernel implements Kernel {
  readonly backend = "simulated";
  readonly release: string;
  /** Nothing but this process runs on the machine, and its /proc shows none. */
  readonly pid = process.pid;
  readonly #machine: Machine;
  readonly #root: ReturnType<typeof fileSystemOf>;
  readonly #files = new Map<number, OpenFile>();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(topology: Topology) {
    this.release = topology.kernel.release;
    this.#machine = new Machine(topology);
    this.#root = fileSystemOf(this.#machine);
  }

  open(path: string): number {
    return systemCall("open", () => {
      const { kind } = this.#lookUp(path);
      if (kind === "directory") throw new Errno("EISDIR");
      if (kind === "file") throw new Errno("EACCES");
      const file = this.#openDevice(path);
      let fd = FIRST_FD;
      while (this.#files.has(fd)) fd++;
      this.#files.set(fd, file);
      return fd;
    });
  }

  async close(fd: number): Promise<void> {
    const file = systemCall("close", () => this.#file(fd));
    this.#files.delete(fd);
    await this.#track(put(file));
  }

  ioctl(fd: number, request: number, argument: Uint8Array, ...pointers: Pointer[]): number {
    return systemCall(ioctlName(request), () =>
      this.#file(fd).ioctl(request, new UserMemory(argument, pointers)),
    );
  }

  async slowIoctl(
    fd: number,
    request: number,
    argument: Uint8Array,
    ...pointers: Pointer[]
  ): Promise<number> {
    const file = systemCall(ioctlName(request), () => this.#file(fd));
    const memory = new UserMemory(argument, pointers);
    const call = () => systemCall(ioctlName(request), () => file.ioctl(request, memory));
    file.get();
    return this.#track(file.takeTime(request, call).finally(() => put(file)));
  }

  readFile(path: string): string {
    return systemCall("open", () => {
      const node = this.#lookUp(path);
      if (node.kind === "directory") throw new Errno("EISDIR");
      if (node.kind !== "file") throw new Errno("EINVAL");
      return node.text();
    });
  }

  readDirectory(path: string): string[] {
    return systemCall("scandir", () => {
      const node = this.#lookUp(path);
      if (node.kind !== "directory") throw new Errno("ENOTDIR");
      return [...node.names()];
    });
  }

  readLink(path: string): string {
    return systemCall("readlink", () => {
      const node = lookUp(this.#root, path, false);
      if (node.kind !== "link") throw new Errno("EINVAL");
      return node.target;
    });
  }

  exists(path: string): boolean {
    try {
      return this.#lookUp(path) !== undefined;
    } catch (error) {
      if (error instanceof Errno) return false;
      throw error;
    }
  }

  async shutdown(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }

  /** The open descriptors, ascending: what a test finds left over. */
  openFds(): readonly { readonly fd: number; readonly path: string }[] {
    return [...this.#files].sort(([a], [b]) => a - b).map(([fd, { path }]) => ({ fd, path }));
  }

  /**
   * Binds a device to another driver, or with null to none, as writing to sysfs would: that blocks until all open
   * files of its VFIO device are closed. Rejects with ENODEV for a device that is not there, EBUSY for a host driver
   * in a group that user space owns.
   */
  async setDriver(device: string, driver: string | null): Promise<void> {
    const target = this.#machine.devices.get(device);
    if (target === undefined) throw new SystemCallError("ENODEV", "write");
    try {
      await this.#machine.setDriver(target, driver);
    } catch (error) {
      throw named(error, "write");
    }
  }

  #openDevice(path: string): OpenFile {
    const { kernel, vfioDevices } = this.#machine;
    if (path === "/dev/iommu") return new Iommufd(path, kernel.resvIovaRanges);
    const vfio = vfioDevices.get(path.slice(path.lastIndexOf("/") + 1));
    if (vfio === undefined) throw new Errno("ENODEV");
    return new VfioFile(path, vfio, (fd) => this.#file(fd));
  }

  #lookUp(path: string): Node {
    return lookUp(this.#root, path, true);
  }

  #file(fd: number): OpenFile {
    const file = this.#files.get(fd);
    if (file === undefined) throw new Errno("EBADF");
    return file;
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

/** Drops a reference; the last one releases the file, which may take its time. */
async function put(file: OpenFile): Promise<void> {
  if (file.put()) await file.takeTime("release", () => file.release());
}

function systemCall<T>(call: string, run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw named(error, call);
  }
}

function named(error: unknown, call: string): unknown {
  return error instanceof Errno ? new SystemCallError(error.code satisfies ErrnoName, call) : error;
}

function ioctlName(request: number): string {
  return `ioctl 0x${request.toString(16)}`;
}
