import { Iommufd } from "../kernel/iommufd.ts";
import type { Kernel } from "../kernel/kernel.ts";
import type { CacheCounters } from "./cache-counters.ts";
import type { Observer } from "./changes.ts";
import { Context, type Lease } from "./context.ts";
import { HostError } from "./errors.ts";
import { errnoOf, kernelError, openIommufdFailure } from "./failures.ts";
import { Ioas } from "./ioas.ts";

export const DEFAULT_CONTEXT = "default";

/** How many objects clients may make: each costs kernel memory. */
export interface ContextLimits {
  readonly contexts: number;
  readonly ioasesPerContext: number;
}

/** The open iommufd contexts by name, and the IO address spaces in them. */
export class Contexts {
  readonly #kernel: Kernel;
  readonly #counters: CacheCounters;
  readonly #observer: Observer;
  readonly #limits: ContextLimits;
  readonly #contexts = new Map<string, Context>();

  constructor(kernel: Kernel, counters: CacheCounters, observer: Observer, limits: ContextLimits) {
    this.#kernel = kernel;
    this.#counters = counters;
    this.#observer = observer;
    this.#limits = limits;
    this.#add(DEFAULT_CONTEXT, "persistent");
  }

  /** All that are open, in the order of their creation. */
  all(): Context[] {
    return [...this.#contexts.values()];
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
  create(name: string, lease: Lease): Context {
    if (this.#contexts.has(name)) {
      throw new HostError("AlreadyExists", `a context "${name}" exists already; choose another name`, {
        context: name,
      });
    }
    if (this.#contexts.size >= this.#limits.contexts) {
      throw new HostError(
        "LimitExceeded",
        `${this.#limits.contexts} contexts are open, and no more are allowed; destroy one that is not needed`,
        { limit: "contexts" },
      );
    }
    const context = this.#add(name, lease);
    try {
      context.open();
    } catch (error) {
      this.#contexts.delete(name);
      throw error;
    }
    this.#observer({ event: "CONTEXT_CREATED", context: name });
    return context;
  }

  /** Closes a context that holds no device any more, and with it what is left of its IO address spaces. */
  async close(context: Context): Promise<void> {
    for (const ioas of [...context.ioases.keys()]) {
      context.ioases.delete(ioas);
      this.#observer({ event: "IOAS_DESTROYED", context: context.name, ioas });
    }
    await context.close();
    this.#contexts.delete(context.name);
    this.#observer({ event: "CONTEXT_DESTROYED", context: context.name });
  }

  /** @throws HostError IoasNotFound */
  ioas(context: Context, id: number): Ioas {
    const ioas = context.ioases.get(id);
    if (ioas) return ioas;
    throw new HostError(
      "IoasNotFound",
      `there is no IOAS ${id} in context "${context.name}"; query-ioas lists them`,
      {
        context: context.name,
        ioas: id,
      },
    );
  }

  createIoas(context: Context): Ioas {
    const iommufd = context.open();
    if (context.ioases.size >= this.#limits.ioasesPerContext) {
      throw new HostError(
        "LimitExceeded",
        `context "${context.name}" has ${this.#limits.ioasesPerContext} IOASes, and no more are allowed; destroy one`,
        { limit: "ioases-per-context" },
      );
    }
    let id: number;
    try {
      id = iommufd.allocIoas();
    } catch (error) {
      throw kernelError(error, "IOMMU_IOAS_ALLOC");
    }
    const ioas = new Ioas(id, iommufd, context, this.#counters);
    context.ioases.set(id, ioas);
    this.#observer({ event: "IOAS_CREATED", context: context.name, ioas: id });
    return ioas;
  }

  /** @throws HostError IoasBusy while a device is attached, or a call is under way */
  destroyIoas(context: Context, ioas: Ioas): void {
    // IOMMU_DESTROY would wait for an attach under way (drivers/iommu/iommufd/main.c: iommufd_object_remove).
    if (ioas.devices.size > 0 || ioas.isInUse) throw ioasBusy(context, ioas);
    try {
      context.open().destroy(ioas.id);
    } catch (error) {
      if (errnoOf(error) === "EBUSY") throw ioasBusy(context, ioas, "EBUSY");
      throw kernelError(error, "IOMMU_DESTROY");
    }
    context.ioases.delete(ioas.id);
    this.#observer({ event: "IOAS_DESTROYED", context: context.name, ioas: ioas.id });
  }

  #add(name: string, lease: Lease): Context {
    const context = new Context(name, lease, () => {
      try {
        return Iommufd.open(this.#kernel);
      } catch (error) {
        throw openIommufdFailure(error);
      }
    });
    this.#contexts.set(name, context);
    return context;
  }
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
