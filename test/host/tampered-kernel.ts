import {
  type DeviceEvent,
  type FileUse,
  type Kernel,
  type Pointer,
  SystemCallError,
} from "../../src/kernel/kernel.ts";
import type { ErrnoName } from "../../src/uapi/errno.ts";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
} from "../../src/uapi/iommufd.ts";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_DEVICE_SET_IRQS,
} from "../../src/uapi/vfio.ts";

const NAMES = new Map<number, string>([
  [IOMMU_DESTROY, "DESTROY"],
  [IOMMU_IOAS_ALLOC, "IOAS_ALLOC"],
  [IOMMU_IOAS_ALLOW_IOVAS, "ALLOW_IOVAS"],
  [IOMMU_IOAS_IOVA_RANGES, "IOVA_RANGES"],
  [VFIO_DEVICE_ATTACH_IOMMUFD_PT, "ATTACH"],
  [VFIO_DEVICE_BIND_IOMMUFD, "BIND"],
  [VFIO_DEVICE_DETACH_IOMMUFD_PT, "DETACH"],
  [VFIO_DEVICE_SET_IRQS, "SET_IRQS"],
]);

/**
 * Another kernel with a test between it and its caller. The test knows calls by name: "open /dev/iommu", "close",
 * "BIND", "IOVA_RANGES"; an ioctl that is not named above by its number.
 */
export class TamperedKernel implements Kernel {
  /** Every open, close and ioctl so far. */
  readonly calls: string[] = [];
  /** Before a call is made; the call fails with what this throws, unmade. */
  before: (call: string) => void = () => {};
  /** Every file, directory and link that was read so far. */
  readonly reads: string[] = [];
  /** Before a file, a directory or a link is read; the read fails with what this throws. */
  beforeRead: (path: string) => void = () => {};
  /** After a call on the event loop is made; the call fails with what this throws. */
  after: (call: string) => void = () => {};
  /** Before a call off the event loop is made, as if no thread were free. */
  queued: (call: string) => Promise<void> = async () => {};
  /** After a call off the event loop is made and before its caller learns of it; it fails with what this throws. */
  made: (call: string) => Promise<void> = async () => {};
  /** Tells the caller of a device what the other kernel does not. */
  tell: (event: DeviceEvent) => void = () => {};
  readonly #kernel: Kernel;
  readonly #awaited = new Map<string, () => void>();

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Resolves when the next call of that name begins. */
  when(call: string): Promise<void> {
    return new Promise((resolve) => {
      this.#awaited.set(call, resolve);
    });
  }

  get backend() {
    return this.#kernel.backend;
  }

  get release() {
    return this.#kernel.release;
  }

  open(path: string): number {
    return this.#onLoop(`open ${path}`, () => this.#kernel.open(path));
  }

  duplicate(fd: number): number {
    return this.#onLoop("duplicate", () => this.#kernel.duplicate(fd));
  }

  passable(fd: number): number {
    return this.#kernel.passable(fd);
  }

  deviceNumber(fd: number): string {
    return this.#kernel.deviceNumber(fd);
  }

  close(fd: number): Promise<void> {
    return this.#offLoop("close", () => this.#kernel.close(fd));
  }

  ioctl(fd: number, request: number, argument: Uint8Array | number, ...pointers: Pointer[]): number {
    return this.#onLoop(nameOf(request), () => this.#kernel.ioctl(fd, request, argument, ...pointers));
  }

  slowIoctl(
    fd: number,
    request: number,
    argument: Uint8Array | number,
    ...pointers: Pointer[]
  ): Promise<number> {
    return this.#offLoop(nameOf(request), () => this.#kernel.slowIoctl(fd, request, argument, ...pointers));
  }

  eventfd(signalled: () => void): number {
    return this.#onLoop("eventfd", () => this.#kernel.eventfd(signalled));
  }

  watchDevices(heard: (event: DeviceEvent) => void): void {
    this.tell = heard;
    this.#kernel.watchDevices(heard);
  }

  readFile(path: string, encoding?: "latin1"): string {
    return this.#read(path, () => this.#kernel.readFile(path, encoding));
  }

  readDirectory(path: string): string[] {
    return this.#read(path, () => this.#kernel.readDirectory(path));
  }

  readLink(path: string): string {
    return this.#read(path, () => this.#kernel.readLink(path));
  }

  openFiles(prefix: string): Promise<FileUse[]> {
    return this.#offLoop("openFiles", () => this.#kernel.openFiles(prefix));
  }

  exists(path: string): boolean {
    return this.#kernel.exists(path);
  }

  shutdown(): Promise<void> {
    return this.#kernel.shutdown();
  }

  #onLoop<T>(call: string, make: () => T): T {
    this.#begin(call);
    const result = make();
    this.after(call);
    return result;
  }

  #read<T>(path: string, read: () => T): T {
    this.reads.push(path);
    this.beforeRead(path);
    return read();
  }

  #begin(call: string): void {
    this.calls.push(call);
    this.#awaited.get(call)?.();
    this.before(call);
  }

  async #offLoop<T>(call: string, make: () => Promise<T>): Promise<T> {
    this.#begin(call);
    await this.queued(call);
    const result = await make();
    await this.made(call);
    return result;
  }
}

/**
 * Makes the n-th call from now on fail with `errno`, counting those named `call` if that is given. A failed close(2)
 * has closed all the same. Returns whether it has come to that.
 */
export function failNth(kernel: TamperedKernel, n: number, errno: ErrnoName, call?: string): () => boolean {
  let left = n;
  let failed = false;
  const isDue = (made: string) => (call === undefined || made === call) && left-- === 0;
  const fail = (made: string) => {
    failed = true;
    throw new SystemCallError(errno, made);
  };
  let closes = false;
  kernel.before = (made) => {
    if (!isDue(made)) return;
    if (made === "close") closes = true;
    else fail(made);
  };
  kernel.made = async (made) => {
    if (made !== "close" || !closes) return;
    closes = false;
    fail(made);
  };
  return () => failed;
}

function nameOf(request: number): string {
  return NAMES.get(request) ?? `0x${request.toString(16)}`;
}
