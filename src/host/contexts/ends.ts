import type { End } from "../changes.ts";
import type { HandedOverDevices } from "../devices/handed-over-devices.ts";
import type { Holdings } from "../devices/holdings.ts";
import type { UnderWay } from "../survival/under-way.ts";
import type { Context } from "./context.ts";
import type { Contexts } from "./contexts.ts";
import type { Leases } from "./leases.ts";

interface EndsParts {
  readonly contexts: Contexts;
  readonly holdings: Holdings;
  readonly handedOver: HandedOverDevices;
  readonly leases: Leases;
  readonly underWay: UnderWay;
}

/** The ends of contexts: by request, with their lease, with the daemon. */
export class Ends {
  readonly #parts: EndsParts;
  #leasesAreKept = false;

  constructor(parts: EndsParts) {
    this.#parts = parts;
    parts.handedOver.onAllBack = (context) => {
      // No client comes back for it, not even in a later life.
      if (context.lease === "handed-over") void this.#byLease(context);
    };
  }

  /**
   * Releases the context's devices when nothing is under way in it any more, then closes it. It ends once, for the reason
   * that came first, and everybody who asked for it waits for the same end.
   */
  of(context: Context, end: End): Promise<void> {
    const { contexts, handedOver, holdings, underWay } = this.#parts;
    if (context.ending) return context.ending;
    context.end = end;
    const ended = underWay.begin({ operation: "end", context: context.name, end });
    context.ending = holdings
      .releaseAll(context, end)
      .then(() => contexts.close(context))
      .then(ended)
      .then(() => (end.cause === "shutdown" ? [] : handedOver.givenWith(context)))
      // The end of a context does not fail because sysfs cannot be read; the next look will find the devices.
      .then((devices) => handedOver.review(devices).catch(() => undefined));
    return context.ending;
  }

  /** Ends a context whose owner is gone, unless somebody has done that before. Never rejects. */
  async withLease(context: Context): Promise<void> {
    if (!this.#leasesAreKept) await this.#byLease(context);
  }

  async #byLease(context: Context): Promise<void> {
    await this.of(context, { cause: "lease", uid: null }).catch(() => undefined);
  }

  /** Ends all contexts, also those that come meanwhile. */
  async ofAll(end: End): Promise<void> {
    const { contexts } = this.#parts;
    while (contexts.all().length > 0)
      await Promise.all(contexts.all().map((context) => this.of(context, end)));
  }

  /** From now on no lease ends with its connection: its client may come back to the next life. */
  keepLeases(): void {
    this.#leasesAreKept = true;
  }

  /** In a life after another: contexts of connections wait `grace` seconds for their clients. */
  awaitOwners(grace: number): void {
    for (const context of this.#parts.contexts.all()) {
      if (context.lease === "connection")
        this.#parts.leases.wait(context, grace, () => void this.withLease(context));
    }
    this.watchGuests();
  }

  /** For as long as clients have devices: who listens is told when one is back, and a context that lasts as long ends. */
  watchGuests(): void {
    const { handedOver, leases } = this.#parts;
    leases.watch(() => {
      void handedOver.review().catch(() => undefined);
      return handedOver.names().length > 0;
    });
  }
}
