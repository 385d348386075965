import type { Iommufd } from "../../kernel/iommufd.ts";
import type { Kernel } from "../../kernel/kernel.ts";
import type { Limits } from "../../limits.ts";
import type { Tell } from "../changes.ts";
import { HostError, limitExceeded } from "../errors.ts";
import { errnoOf, kernelError } from "../failures.ts";
import type { CacheCounters } from "../knowledge/cache-counters.ts";
import { contextFile, type DescriptorStore } from "../survival/journal.ts";
import type { Recorder } from "../survival/recorder.ts";
import type { UnderWay } from "../survival/under-way.ts";
import { Context } from "./context.ts";
import { type Allowed, Ioas, type IoasState } from "./ioas.ts";
import type { Lease } from "./lease.ts";
import { openIommufd, rlimitModeFailure } from "./open-failures.ts";
import { type Owner, refuseBeyond } from "./owners.ts";

export const DEFAULT_CONTEXT = "default";

export interface ContextsParts {
  readonly kernel: Kernel;
  readonly counters: CacheCounters;
  readonly tell: Tell;
  readonly limits: Limits;
  readonly store: DescriptorStore;
  readonly recorder: Pick<Recorder, "grown">;
  readonly underWay: UnderWay;
}

/** The open iommufd contexts by name, and the IO address spaces in them. */
export class Contexts {
  readonly #parts: ContextsParts;
  readonly #contexts = new Map<string, Context>();

  constructor(parts: ContextsParts) {
    this.#parts = parts;
    this.#add(DEFAULT_CONTEXT, "persistent", null);
  }

  /** All that there are, in the order of their creation: also `default` before it is opened, and those that are ending. */
  all(): Context[] {
    return [...this.#contexts.values()];
  }

  /** The context of that name, also one that is ending. */
  find(name: string): Context | undefined {
    return this.#contexts.get(name);
  }

  /** @throws HostError ContextNotFound */
  get(name: string): Context {
    const context = this.#contexts.get(name);
    if (context && !context.isClosing) return context;
    throw new HostError(
      "ContextNotFound",
      `there is no context "${name}"; query-contexts lists them, create-context makes one`,
      { context: name },
    );
  }

  /** @throws HostError AlreadyExists, LimitExceeded, NotSupported */
  create(name: string, lease: Lease, owner: Owner, rlimitMode: boolean): Context {
    if (this.#contexts.has(name)) {
      throw new HostError("AlreadyExists", `a context "${name}" exists already; choose another name`, {
        context: name,
      });
    }
    if (this.#contexts.size >= this.#parts.limits["max-contexts"]) {
      throw limitExceeded(
        "max-contexts",
        `${this.#contexts.size} contexts are open, and no more are allowed; destroy one that is not needed`,
      );
    }
    const owners = this.all().map((each) => each.owner);
    refuseBeyond(this.#parts.limits, "max-contexts-per-uid", "contexts", owners, owner);
    const context = this.#add(name, lease, owner);
    try {
      const iommufd = context.open();
      if (rlimitMode) accountByProcess(iommufd);
    } catch (error) {
      this.#contexts.delete(name);
      void context.close();
      throw error;
    }
    this.#parts.tell({ event: "CONTEXT_CREATED", context: name, lease });
    return context;
  }

  /** Closes a context that holds no device any more, and with it what is left of its IO address spaces. */
  async close(context: Context): Promise<void> {
    for (const ioas of [...context.ioases.keys()]) this.#remove(context, ioas);
    await context.close();
    this.#contexts.delete(context.name);
    context.isOver = true;
    const end = context.end ?? { cause: "request", uid: null };
    this.#parts.tell({ event: "CONTEXT_DESTROYED", context: context.name, ...end });
    context.onEnd();
  }

  /** @throws HostError IoasNotFound */
  ioas(context: Context, id: number): Ioas {
    const ioas = context.ioases.get(id);
    if (ioas) return ioas;
    // Where there cannot be any, opening the context says so, and what is missing.
    if (!this.#parts.kernel.exists("/dev/iommu")) context.open();
    throw ioasNotFound(context, id);
  }

  /**
   * An IOAS to ask about: one of ours, or in a shared context also one that others may have made; whether they have,
   * the answer tells. @throws HostError IoasNotFound
   */
  anyIoas(context: Context, id: number): Ioas {
    if (!context.shared || context.ioases.has(id)) return this.ioas(context, id);
    return new Ioas(id, context.open(), context, this.#parts.counters);
  }

  /** The kernel's answer for an IOAS. Throws or rejects with HostError IoasNotFound, KernelError. */
  allowed(ioas: Ioas): Allowed | Promise<Allowed> {
    const answer = ioas.allowed();
    if (!(answer instanceof Promise)) return answer;
    return answer.catch((error) => {
      throw this.lost(error, ioas) ?? kernelError(error, "IOMMU_IOAS_IOVA_RANGES");
    });
  }

  /** @throws HostError LimitExceeded, NotSupported, KernelError */
  createIoas(context: Context, owner: Owner): Ioas {
    const iommufd = context.open();
    if (context.ioases.size >= this.#parts.limits["max-ioases-per-context"]) {
      throw limitExceeded(
        "max-ioases-per-context",
        `context "${context.name}" has ${context.ioases.size} IOASes, and no more are allowed; destroy one`,
      );
    }
    refuseBeyond(this.#parts.limits, "max-ioases-per-uid", "IOASes", this.#ioasOwners(), owner);
    let id: number;
    try {
      id = iommufd.allocIoas();
    } catch (error) {
      throw kernelError(error, "IOMMU_IOAS_ALLOC");
    }
    // The id was free, so another holder of a shared context has destroyed ours.
    if (context.ioases.has(id)) this.#remove(context, id);
    const ioas = new Ioas(id, iommufd, context, this.#parts.counters, owner);
    context.ioases.set(id, ioas);
    this.#parts.tell({ event: "IOAS_CREATED", context: context.name, ioas: id });
    return ioas;
  }

  /** @throws HostError IoasBusy while a device is attached, or a call is under way */
  destroyIoas(context: Context, ioas: Ioas): void {
    // IOMMU_DESTROY would wait for an attach under way (drivers/iommu/iommufd/main.c: iommufd_object_remove).
    if (ioas.devices.size > 0 || ioas.isInUse) throw ioasBusy(context, ioas);
    this.#parts.underWay.during({ operation: "destroy-ioas", context: context.name, ioas: ioas.id }, () => {
      try {
        context.open().destroy(ioas.id);
      } catch (error) {
        if (errnoOf(error) === "EBUSY") throw ioasBusy(context, ioas, "EBUSY");
        throw this.lost(error, ioas) ?? kernelError(error, "IOMMU_DESTROY");
      }
      this.#remove(context, ioas.id);
    });
  }

  /** A context of an earlier life, with its file; that of the default one takes the place of the one there is. */
  takeOver(name: string, lease: Lease, owner: Owner, iommufd: Iommufd | null): Context {
    const context = name === DEFAULT_CONTEXT ? this.get(name) : this.#add(name, lease, owner);
    if (iommufd) context.takeOver(iommufd);
    return context;
  }

  /** An IOAS of an earlier life. */
  takeOverIoas(context: Context, id: number, owner: Owner, state: IoasState): Ioas {
    const ioas = new Ioas(id, context.open(), context, this.#parts.counters, owner);
    ioas.takeOver(state);
    context.ioases.set(id, ioas);
    return ioas;
  }

  /** Notes that the kernel has no such IOAS any more. */
  gone(context: Context, ioas: Ioas): void {
    if (context.ioases.get(ioas.id) === ioas) this.#remove(context, ioas.id);
  }

  /** In a shared context another holder may destroy an IOAS of ours; then the model learns of it by ENOENT. */
  lost(error: unknown, ioas: Ioas): HostError | undefined {
    const { context, id } = ioas;
    if (!context.shared || errnoOf(error) !== "ENOENT") return undefined;
    const owner = this.#contexts.get(context.name);
    if (owner?.ioases.get(id) === ioas) this.#remove(owner, id);
    return ioasNotFound(context, id);
  }

  #remove(context: Context, id: number): void {
    const ioas = context.ioases.get(id);
    if (ioas) ioas.isGone = true;
    context.ioases.delete(id);
    this.#parts.tell({ event: "IOAS_DESTROYED", context: context.name, ioas: id });
  }

  *#ioasOwners(): Generator<Owner> {
    for (const context of this.#contexts.values()) {
      for (const { owner } of context.ioases.values()) yield owner;
    }
  }

  #add(name: string, lease: Lease, owner: Owner): Context {
    const { kernel, recorder, store } = this.#parts;
    const context = new Context(name, lease, owner, {
      open: () => {
        const iommufd = openIommufd(kernel);
        store.put(contextFile(name), iommufd.fd);
        return iommufd;
      },
      forget: () => store.remove(contextFile(name)),
      grown: (ioas, by) => recorder.grown(context, ioas, by),
    });
    this.#contexts.set(name, context);
    return context;
  }
}

/** @throws HostError NotSupported, KernelError */
function accountByProcess(iommufd: Iommufd): void {
  try {
    iommufd.accountByProcess();
  } catch (error) {
    throw rlimitModeFailure(error);
  }
}

function ioasNotFound({ name: context }: { readonly name: string }, ioas: number): HostError {
  return new HostError(
    "IoasNotFound",
    `there is no IOAS ${ioas} in context "${context}"; query-ioas lists them, and create-ioas makes one`,
    { context, ioas },
  );
}

function ioasBusy(context: Context, ioas: Ioas, errno?: string): HostError {
  const devices = [...ioas.devices];
  const why =
    devices.length > 0
      ? `has devices attached: ${devices.join(", ")}; detach them first`
      : "is in use by another request; try again when that is done";
  return new HostError("IoasBusy", `IOAS ${ioas.id} of context "${context.name}" ${why}`, {
    devices,
    ...(errno === undefined ? {} : { errno }),
  });
}
