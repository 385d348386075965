import { close } from "node:fs";
import type { JSONRPCID, JSONRPCResponse } from "json-rpc-2.0";
// Its index takes Node.js 20 five times as long to load as these two.
import { JSONRPCClient } from "json-rpc-2.0/dist/client.js";
import { createJSONRPCRequest } from "json-rpc-2.0/dist/models.js";
import { DaemonError } from "./errors.ts";

/** What a request came back with. The descriptors are the caller's to close. */
export interface Answer {
  readonly result: unknown;
  readonly fds: readonly number[];
}

/** The requests of one connection that wait for their answers. */
export class Calls {
  readonly #rpc: JSONRPCClient<string>;
  /** By id: whether they want descriptors. */
  readonly #waiting = new Map<JSONRPCID, boolean>();
  /** What came with answers that their callers are about to get. */
  readonly #fds = new Map<JSONRPCID, readonly number[]>();
  #failure: Error | undefined;
  #id = 0;

  constructor(write: (text: string) => void) {
    this.#rpc = new JSONRPCClient((_request, line) => write(line));
  }

  /**
   * Sends before it returns. Rejects with DaemonError, with what fail() was told, or with TypeError for params that
   * are no JSON, and then nothing was sent.
   */
  async request(method: string, params: object | undefined, wantsDescriptors: boolean): Promise<Answer> {
    if (this.#failure) throw this.#failure;
    const id = ++this.#id;
    const request = createJSONRPCRequest(id, method, params);
    const line = `${JSON.stringify(request)}\n`;
    this.#waiting.set(id, wantsDescriptors);
    const { result, error } = await this.#rpc.requestAdvanced(request, line);
    if (this.#waiting.delete(id)) throw this.#failure;
    if (error) throw new DaemonError(error);
    const fds = this.#fds.get(id) ?? [];
    this.#fds.delete(id);
    return { result, fds };
  }

  /** Whether everything that was asked has been answered. */
  get isIdle(): boolean {
    return this.#waiting.size === 0;
  }

  /** False when nobody waits for it. Descriptors that nobody wants are closed. */
  receive(response: JSONRPCResponse, fds: readonly number[]): boolean {
    // An error without an id is about no request of these: the daemon makes out the id also of a line that it does not read.
    const { id } = response;
    const wantsDescriptors = this.#waiting.get(id);
    if (wantsDescriptors && !response.error) this.#fds.set(id, fds);
    else closeAll(fds);
    if (wantsDescriptors === undefined) return false;
    this.#waiting.delete(id);
    this.#rpc.receive(response);
    return true;
  }

  /** From now on, and for all that wait. */
  fail(error: Error): void {
    this.#failure = error;
    this.#rpc.rejectAllPendingRequests(error.message);
  }
}

/** Off the event loop: the last close of a VFIO device resets it. */
export function closeAll(fds: readonly number[]): void {
  for (const fd of fds) close(fd, () => {});
}
