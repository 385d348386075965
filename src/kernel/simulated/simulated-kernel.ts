import type { ErrnoName } from "../../uapi/errno.ts";
import { type DeviceEvent, type FileUse, type Kernel, type Pointer, SystemCallError } from "../kernel.ts";
import type { Device } from "./device.ts";
import { Errno } from "./errno.ts";
import { EventFile } from "./event-file.ts";
import { lookUp, type Node } from "./file-tree.ts";
import { Iommufd } from "./iommufd.ts";
import { Machine } from "./machine.ts";
import type { OpenFile } from "./open-file.ts";
import { Placeholders } from "./placeholders.ts";
import { fileSystemOf } from "./sysfs.ts";
import type { Topology, TopologyDevice } from "./topology.ts";
import { UserMemory } from "./user-memory.ts";
import { VfioContainer } from "./vfio-container.ts";
import { VfioFile } from "./vfio-file.ts";
import { VfioGroupFile } from "./vfio-group.ts";

/** Above what a process may have open, so that a descriptor from here is never one of Linux's by mistake. */
const FIRST_FD = 0x4000_0000;

/**
 * A kernel in memory, with iommufd, VFIO cdevs, groups and containers, and sysfs of the host that a topology describes.
 * It takes the same numbers and bytes as Linux 6.12 and answers with the same bytes and errno.
 */
export class SimulatedKernel implements Kernel {
  readonly backend = "simulated";
  readonly release: string;
  /** What other processes have open, beside what they were passed: what a test puts here. */
  readonly fileUses: FileUse[] = [];
  readonly #machine: Machine;
  #root: ReturnType<typeof fileSystemOf>;
  readonly #files = new Map<number, OpenFile>();
  readonly #placeholders = new Placeholders(process.pid);
  readonly #underWay = new Set<Promise<unknown>>();
  #isListening = false;

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
      return this.#install(this.#openDevice(path));
    });
  }

  duplicate(fd: number): number {
    return systemCall("fcntl", () => {
      const file = this.#file(fd);
      file.get();
      return this.#install(file);
    });
  }

  passable(fd: number): number {
    return systemCall("open", () => this.#placeholders.of(fd, this.#file(fd).path));
  }

  deviceNumber(fd: number): string {
    return systemCall("fstat", () => {
      // While it is open a node keeps its name and its number.
      const node = this.#lookUp(this.#file(fd).path);
      if (node.kind !== "device") throw new Errno("ENODEV");
      return node.number;
    });
  }

  async close(fd: number): Promise<void> {
    const file = systemCall("close", () => this.#file(fd));
    this.#files.delete(fd);
    this.#placeholders.close(fd);
    await this.#track(put(file));
  }

  ioctl(fd: number, request: number, argument: Uint8Array | number, ...pointers: Pointer[]): number {
    return systemCall(ioctlName(request), () =>
      this.#file(fd).ioctl(request, new UserMemory(argument, pointers)),
    );
  }

  async slowIoctl(
    fd: number,
    request: number,
    argument: Uint8Array | number,
    ...pointers: Pointer[]
  ): Promise<number> {
    const file = systemCall(ioctlName(request), () => this.#file(fd));
    const memory = new UserMemory(argument, pointers);
    const call = () => systemCall(ioctlName(request), () => file.ioctl(request, memory));
    file.get();
    return this.#track(file.takeTime(request, call).finally(() => put(file)));
  }

  eventfd(signalled: () => void): number {
    return this.#install(new EventFile(signalled));
  }

  watchDevices(heard: (event: DeviceEvent) => void): void {
    this.#isListening = true;
    // Linux sends an event before its cause returns; who listens hears of it in a turn of the event loop.
    this.#machine.uevent = (action, device) =>
      setImmediate(() => this.#isListening && heard({ action, device }));
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

  async openFiles(prefix: string): Promise<FileUse[]> {
    return [...this.fileUses, ...this.#placeholders.uses()].filter(({ path }) => path.startsWith(prefix));
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
    this.#isListening = false;
  }

  /** The open descriptors, ascending: what a test finds left over. */
  openFds(): readonly { readonly fd: number; readonly path: string }[] {
    return [...this.#files].sort(([a], [b]) => a - b).map(([fd, { path }]) => ({ fd, path }));
  }

  /**
   * Binds a device to another driver, or with null to none, as writing to sysfs would: that blocks until all open
   * files of its VFIO device are closed, and asks whoever has it bound for it. Rejects with ENODEV for a device that
   * is not there, EBUSY for a host driver in a group that user space owns.
   */
  async setDriver(device: string, driver: string | null): Promise<void> {
    try {
      await this.#machine.setDriver(this.#device(device), driver);
    } catch (error) {
      throw named(error, "write");
    }
  }

  /** Plugs a device in, behind an IOMMU of the topology. */
  addDevice(device: TopologyDevice): void {
    this.#machine.add(device);
    this.#root = fileSystemOf(this.#machine);
  }

  /** Takes a device out, by way of its driver: as long as that takes (see setDriver). Rejects with ENODEV. */
  async removeDevice(device: string): Promise<void> {
    try {
      await this.#machine.remove(this.#device(device));
      this.#root = fileSystemOf(this.#machine);
    } catch (error) {
      throw named(error, "write");
    }
  }

  #device(name: string): Device {
    const device = this.#machine.devices.get(name);
    if (device === undefined) throw new Errno("ENODEV");
    return device;
  }

  #install(file: OpenFile): number {
    let fd = FIRST_FD;
    while (this.#files.has(fd)) fd++;
    this.#files.set(fd, file);
    return fd;
  }

  #openDevice(path: string): OpenFile {
    const { kernel, vfioDevices, vfioGroups } = this.#machine;
    const fileOf = (fd: number) => this.#file(fd);
    if (path === "/dev/iommu") return new Iommufd(path, kernel);
    if (path === "/dev/vfio/vfio") return new VfioContainer(path, this.#machine.kernel.pageSize);
    const name = path.slice(path.lastIndexOf("/") + 1);
    const group = vfioGroups.get(name);
    if (group !== undefined) return new VfioGroupFile(path, group, fileOf);
    const vfio = vfioDevices.get(name);
    if (vfio === undefined) throw new Errno("ENODEV");
    return new VfioFile(path, vfio, fileOf);
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
