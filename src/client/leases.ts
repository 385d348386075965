import { DaemonError } from "./errors.ts";

/** Asks the daemon over one connection. */
type Ask = (method: string, params: object) => Promise<unknown>;

/** The contexts that last as long as this client's connection, and what it takes to keep them over another one. */
export class Leases {
  readonly #contexts = new Set<string>();

  /** A request has been answered. */
  answered(method: string, params: object | undefined): void {
    const { context, lease } = (params ?? {}) as { context?: string; lease?: string };
    if (context === undefined) return;
    const isTaken = method === "create-context" ? lease === "connection" : method === "resume-context";
    if (isTaken) this.#contexts.add(context);
    if (method === "destroy-context") this.#contexts.delete(context);
  }

  /** Takes them up over another connection; a daemon that has lost them says so, and `lost` is told. Never rejects. */
  async resume(ask: Ask, lost: (context: string, reason: Error) => void): Promise<void> {
    const resumed = Array.from(this.#contexts, async (context) => {
      try {
        await ask("resume-context", { context });
      } catch (error) {
        // With the connection gone as well, the next one is asked.
        if (!(error instanceof DaemonError)) return;
        this.#contexts.delete(context);
        lost(context, error);
      }
    });
    await Promise.all(resumed);
  }
}
