import { isJSONRPCID, type JSONRPCID } from "json-rpc-2.0";
import { quote } from "./errors.ts";

/**
 * The rule of JSON-RPC 2.0 section 4 that a message breaks; undefined for a request or notification. The engine's own
 * check lets pass, or stumbles over, everything that is tested here.
 */
export function requestFault(message: unknown): string | undefined {
  if (!isObject(message)) return "expected an object";
  if (message.jsonrpc !== "2.0") return 'the member jsonrpc must be "2.0"';
  if (typeof message.method !== "string") return "the member method must be a string";
  if (message.id !== undefined && !isId(message.id)) {
    return "the member id must be a string, null, or a number, if an integer one from -(2^53-1) to 2^53-1: a larger one would come back as another";
  }
  if (message.params !== undefined && (typeof message.params !== "object" || message.params === null)) {
    return "the member params must be an object";
  }
  if (message.result !== undefined || message.error !== undefined) {
    return "a request has no result and no error; this end sends no requests to be answered";
  }
  for (const name in message) if (!isMember(name)) return `unknown member ${quote(name)}`;
  return undefined;
}

/** JSON-RPC leaves others open; like QMP, we had rather not run what somebody has misspelt: `param`, for one. */
function isMember(name: string): boolean {
  return name === "jsonrpc" || name === "id" || name === "method" || name === "params";
}

/** The id to answer an invalid request with: its own when that could be made out, else null. */
export function idOf(message: unknown): JSONRPCID {
  return isObject(message) && isId(message.id) ? message.id : null;
}

/** A larger integer has been rounded, and 1e999 is Infinity: neither could be echoed as it was sent. */
function isId(id: unknown): id is JSONRPCID {
  if (typeof id !== "number") return isJSONRPCID(id);
  return Number.isSafeInteger(id) || (Number.isFinite(id) && !Number.isInteger(id));
}

function isObject(message: unknown): message is Readonly<Record<string, unknown>> {
  return typeof message === "object" && message !== null && !Array.isArray(message);
}
