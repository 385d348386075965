import { HostError } from "../errors.ts";
import type { Context } from "./context.ts";
import type { Owner } from "./owners.ts";

/** Nobody tells when a guest ends: milliseconds between two looks. */
const LOOK = 5_000;

/** The contexts whose connection has gone with an earlier life of the daemon, and that wait for its client to come back. */
export class Leases {
  #watch: NodeJS.Timeout | undefined;
  readonly #waiting = new Map<Context, NodeJS.Timeout>();

  /** Calls `ended` after so many seconds, unless somebody resumes the lease. */
  wait(context: Context, seconds: number, ended: () => void): void {
    const timer = setTimeout(() => {
      this.#waiting.delete(context);
      ended();
    }, seconds * 1000);
    this.#waiting.set(context, timer.unref());
  }

  /** The lease is the caller's from now on. @throws HostError ContextNotFound, PermissionDenied */
  resume(context: Context, by: Owner): void {
    if (!this.#waiting.has(context)) {
      throw new HostError(
        "ContextNotFound",
        `context "${context.name}" does not wait for a client: only a connection's context does, after a restart of the daemon`,
        { context: context.name },
      );
    }
    if (context.owner !== by) {
      throw new HostError("PermissionDenied", `context "${context.name}" waits for uid ${context.owner}`, {
        owner: context.owner,
      });
    }
    clearTimeout(this.#waiting.get(context));
    this.#waiting.delete(context);
  }

  /** Calls `look` every few seconds, until it says that there is nothing left to look for. A second call changes nothing. */
  watch(look: () => boolean): void {
    this.#watch ??= setInterval(() => {
      if (look()) return;
      clearInterval(this.#watch);
      this.#watch = undefined;
    }, LOOK).unref();
  }

  close(): void {
    clearInterval(this.#watch);
    for (const timer of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }
}
