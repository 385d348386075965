import type { UserMemory } from "./user-memory.ts";

/**
 * An open file, Linux's `struct file`: a descriptor, a call under way on it and a device bound through it each hold
 * a reference, and the last one to go releases it.
 */
export abstract class OpenFile {
  readonly path: string;
  #references = 1;

  constructor(path: string) {
    this.path = path;
  }

  /** fget */
  get(): void {
    this.#references++;
  }

  /** fput, but for the release, which is the caller's to do when this says that nobody refers to the file now. */
  put(): boolean {
    return --this.#references === 0;
  }

  /** What the ioctl returns. Throws Errno. */
  abstract ioctl(request: number, memory: UserMemory): number;

  /** What becomes of the file at its last reference. */
  abstract release(): void;

  /** Runs an ioctl, or the release, as if the hardware took its time over it. */
  abstract takeTime<T>(request: number | "release", call: () => T): Promise<T>;
}
