import { createJSONRPCErrorResponse, isJSONRPCID, JSONRPC, type JSONRPCID } from "json-rpc-2.0";
import type { Dialect } from "../dialect.ts";
import { invalidRequest, unknownMember } from "../errors.ts";
import { LineReader } from "../framing.ts";
import type { Fault, Message } from "../message.ts";
import { enclose } from "../text.ts";
import { INEXACT, isExact } from "../top-level-id.ts";

/** JSON-RPC leaves others open; like QMP, we had rather not run what somebody has misspelt: `param`, for one. */
const MEMBERS = new Set(["jsonrpc", "id", "method", "params"]);

/** JSON-RPC 2.0. Ids are finite numbers, strings or null. */
export const jsonRpc: Dialect = {
  name: "json-rpc",
  lineEnd: "\n",
  methods: new Map(),

  reader: (limit) => new LineReader(limit),

  greeting({ name, version, protocol, backend, instance }, sequence) {
    const params = { service: name, version, protocol, backend, instance, sequence };
    return notification("greeting", JSON.stringify(params));
  },

  read(message: unknown): Message {
    if (Array.isArray(message)) return { kind: "batch", messages: message };
    const wrong = faultOf(message);
    if (wrong !== undefined) return fault(idOf(message), wrong);
    const { id, method, params } = message as Record<string, unknown>;
    return { kind: "request", id, isAnswered: id !== undefined, method: method as string, params };
  },

  answer(id, result) {
    const told = typeof id === "number" ? id : JSON.stringify(id);
    return enclose(`{"jsonrpc":"${JSONRPC}","id":${told},"result":`, result, "}");
  },

  error: (id, { code, message, data }) =>
    JSON.stringify(createJSONRPCErrorResponse((id ?? null) as JSONRPCID, code, message, data)),

  event: ({ method, text }) => notification(method, text),
};

function notification(method: string, params: string): string {
  return `{"jsonrpc":"${JSONRPC}","method":${JSON.stringify(method)},"params":${params}}`;
}

function fault(id: JSONRPCID, message: string): Fault {
  return { kind: "fault", id, error: invalidRequest(message) };
}

/** The rule of JSON-RPC 2.0 section 4 that a message breaks; undefined for a request or notification. */
function faultOf(message: unknown): string | undefined {
  if (!isObject(message)) return "expected an object";
  if (message.result !== undefined || message.error !== undefined) {
    return "a request has no result and no error; this end sends no requests to be answered";
  }
  for (const name in message) if (!MEMBERS.has(name)) return unknownMember(name, [...MEMBERS]);
  if (message.jsonrpc !== JSONRPC) return 'the member jsonrpc must be "2.0"';
  if (typeof message.method !== "string") return "the member method must be a string";
  if (message.id !== undefined && !isId(message.id)) {
    return `the member id must be a string, null, or a number, ${INEXACT}`;
  }
  if (message.params !== undefined && (typeof message.params !== "object" || message.params === null)) {
    return "the member params must be an object";
  }
  return undefined;
}

/** The id to answer an invalid request with: its own when that could be made out, else null. */
function idOf(message: unknown): JSONRPCID {
  return isObject(message) && isId(message.id) ? message.id : null;
}

function isId(id: unknown): id is JSONRPCID {
  return typeof id === "number" ? isExact(id) : isJSONRPCID(id);
}

function isObject(message: unknown): message is Readonly<Record<string, unknown>> {
  return typeof message === "object" && message !== null && !Array.isArray(message);
}
