import type { JSONRPCID, JSONRPCResponse } from "json-rpc-2.0";

/**
 * Responses as JSON text. A result that is a frozen object is taken for immutable: its text is kept for as long as
 * the object lives, so a cached answer is serialised once.
 */
export class Encoder {
  readonly #texts = new WeakMap<object, string>();

  /** @throws TypeError when the result is not JSON, a bigint for one */
  encode(response: JSONRPCResponse): string {
    const { id, result } = response;
    const text = typeof result === "object" && result !== null ? this.#keptText(result) : undefined;
    return text === undefined
      ? JSON.stringify(response)
      : `{"jsonrpc":"2.0","id":${encodeId(id)},"result":${text}}`;
  }

  #keptText(result: object): string | undefined {
    const kept = this.#texts.get(result);
    if (kept !== undefined || !Object.isFrozen(result)) return kept;
    const text = JSON.stringify(result);
    this.#texts.set(result, text);
    return text;
  }
}

/** Ids are finite numbers, strings or null, see request.ts. */
function encodeId(id: JSONRPCID): string {
  return typeof id === "string" ? JSON.stringify(id) : String(id);
}
