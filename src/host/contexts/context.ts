import type { Iommufd } from "../../kernel/iommufd.ts";
import type { End } from "../changes.ts";
import { HostError } from "../errors.ts";
import type { Growth, Ioas, Surroundings } from "./ioas.ts";
import type { Lease } from "./lease.ts";
import type { Owner } from "./owners.ts";
import { SlowReads } from "./slow-reads.ts";

/** How a context comes by its file, and what is kept of it for a later life. */
export interface ContextFiles {
  /** @throws HostError NotSupported, KernelError */
  open(): Iommufd;
  /** Resolves when nothing but this process keeps the file open. */
  forget(): Promise<void>;
  /** An answer for the IOAS has another generation. */
  grown(ioas: Ioas, by: Growth): void;
}

/** One open /dev/iommu under a name: a space of object ids, its IO address spaces and the devices bound to it. */
export class Context implements Surroundings {
  readonly name: string;
  readonly lease: Lease;
  readonly owner: Owner;
  readonly ioases = new Map<number, Ioas>();
  readonly slowReads = new SlowReads();
  /** Its iommufd was handed to others, and for good: they make, attach and destroy without telling us. */
  shared = false;
  /** Grows with every answer for an IOAS here while the context is shared: no two of them have one generation. */
  looks = 1;
  /** Called once it has ended: who would have ended it has nothing more to do. */
  onEnd: () => void = () => {};
  /** The end of the context, from when it is asked for on, and why: who asked first. */
  ending: Promise<void> | null = null;
  end: End | null = null;
  /** Closed, and not shown any more. */
  isOver = false;
  readonly #files: ContextFiles;
  #iommufd: Iommufd | null = null;
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(name: string, lease: Lease, owner: Owner, files: ContextFiles) {
    this.name = name;
    this.lease = lease;
    this.owner = owner;
    this.#files = files;
  }

  /** What was open in an earlier life. */
  takeOver(iommufd: Iommufd): void {
    this.#iommufd = iommufd;
  }

  /** Opened when it is first needed, so that a host without iommufd can serve the rest. @throws HostError NotSupported */
  open(): Iommufd {
    this.#iommufd ??= this.#files.open();
    return this.#iommufd;
  }

  /** Being destroyed: nothing new begins in it. */
  get isClosing(): boolean {
    return this.ending !== null;
  }

  /** @throws HostError ContextNotFound */
  refuseClosing(): void {
    if (!this.isClosing) return;
    throw new HostError("ContextNotFound", `context "${this.name}" is being destroyed`, {
      context: this.name,
    });
  }

  get isOpen(): boolean {
    return this.#iommufd !== null;
  }

  /** close(2) frees the descriptor also when it reports an error, so there is nothing that a caller could do. */
  async close(): Promise<void> {
    if (!this.#iommufd) return;
    await this.#files.forget();
    await this.#iommufd.close().catch(() => undefined);
    this.#iommufd = null;
  }

  grown(ioas: Ioas, by: Growth): void {
    this.#files.grown(ioas, by);
  }

  /** Runs an operation that the context's end has to wait for. */
  async run<T>(operation: () => Promise<T>): Promise<T> {
    const promise = operation();
    this.#underWay.add(promise);
    try {
      return await promise;
    } finally {
      this.#underWay.delete(promise);
    }
  }

  /** Resolves when nothing is under way any more. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay);
  }
}
