import type { JSONRPCResponse } from "json-rpc-2.0";
import { isJSONRPCRequest, isJSONRPCResponse } from "json-rpc-2.0/dist/models.js";
import type { Line } from "../rpc/framing.ts";

/** What the daemon says without being asked. */
export interface Notification {
  readonly method: string;
  readonly params: unknown;
}

/** One message of the daemon's; undefined for a line that is none. */
export function parseMessage(line: Line): JSONRPCResponse | Notification | undefined {
  const message = typeof line === "string" ? parse(line) : undefined;
  if (typeof message !== "object" || message === null) return undefined;
  if (isJSONRPCResponse(message)) return hasSoundError(message) ? message : undefined;
  return isJSONRPCRequest(message) && message.id === undefined && typeof message.method === "string"
    ? { method: message.method, params: message.params }
    : undefined;
}

export function isNotification(message: JSONRPCResponse | Notification): message is Notification {
  return "method" in message;
}

/** Whether it has what every event has, and what those who take events rely on. */
export function isEvent({ params }: Notification): boolean {
  return Number.isSafeInteger((params as { sequence?: unknown } | null | undefined)?.sequence);
}

/** Undefined for what is no JSON: no JSON text stands for that. */
function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What stands where an error should is passed on to callers: it has to be one. */
function hasSoundError({ error, result }: JSONRPCResponse): boolean {
  if (error === undefined) return true;
  return result === undefined && typeof error?.code === "number" && typeof error.message === "string";
}
