import { type FileUse, type Kernel, SystemCallError } from "../../kernel/kernel.ts";
import type { PlatformDevice } from "./platform.ts";

/** A process that has a device open. */
export interface User {
  readonly pid: number;
  readonly uid: number;
  readonly command: string;
}

export interface UsersParts {
  readonly kernel: Kernel;
}

const VFIO = "/dev/vfio/";

/**
 * The processes, other than this one, that have cdevs or groups open, as far as /proc shows them. One search at a time:
 * it goes through every descriptor of the host, and whoever asks before it has begun shares what it finds.
 */
export class Users {
  readonly #parts: UsersParts;
  #last: Promise<unknown> = Promise.resolve();
  #next: Promise<ReadonlyMap<string, readonly FileUse[]>> | undefined;

  constructor(parts: UsersParts) {
    this.#parts = parts;
  }

  /** Who has any of the devices open; where /proc cannot be read, undefined. */
  async of(devices: readonly PlatformDevice[]): Promise<User[] | undefined> {
    const found = await this.all();
    return found && usersOf(devices, found);
  }

  /** All that a search finds, for usersOf(); where /proc cannot be read, undefined. */
  async all(): Promise<ReadonlyMap<string, readonly FileUse[]> | undefined> {
    this.#next ??= this.#searchAfter(this.#last);
    try {
      return await this.#next;
    } catch (error) {
      if (error instanceof SystemCallError) return undefined;
      throw error;
    }
  }

  #searchAfter(last: Promise<unknown>): Promise<ReadonlyMap<string, readonly FileUse[]>> {
    const search = (async () => {
      await last;
      this.#next = undefined;
      const uses = new Map<string, FileUse[]>();
      for (const use of await this.#parts.kernel.openFiles(VFIO))
        uses.set(use.path, [...(uses.get(use.path) ?? []), use]);
      return uses;
    })();
    this.#last = search.catch(() => undefined);
    return search;
  }
}

/** Who has any of the devices open, each process once, by its id. */
export function usersOf(
  devices: readonly PlatformDevice[],
  found: ReadonlyMap<string, readonly FileUse[]>,
): User[] {
  const uses = devices
    .flatMap(({ vfioDevice, group, noIommu }) => [
      `${VFIO}devices/${vfioDevice}`,
      `${VFIO}${noIommu ? "noiommu-" : ""}${group}`,
    ])
    .flatMap((path) => found.get(path) ?? []);
  const users = new Map(uses.map(({ pid, uid, command }) => [pid, { pid, uid, command }]));
  return [...users.values()].sort((a, b) => a.pid - b.pid);
}
