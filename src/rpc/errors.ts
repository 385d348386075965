import { type JSONRPCError, JSONRPCErrorCode, JSONRPCErrorException } from "json-rpc-2.0";
import { HostError, type HostErrorClass, limitExceeded } from "../host/errors.ts";
import type { LimitName } from "../limits.ts";
import { suggestion } from "../nearest.ts";
import { formatAddress } from "../ranges/address.ts";

/** `data.class` of JSON-RPC's own errors. */
export type StandardErrorClass =
  | "ParseError"
  | "InvalidRequest"
  | "MethodNotFound"
  | "InvalidParams"
  | "InternalError";

/**
 * The code of each error class. Codes and classes are API and never change their meaning; messages are for people
 * and may.
 */
export const ERROR_CODES: Readonly<Record<HostErrorClass, number>> = {
  DeviceNotFound: -32001,
  DeviceBusy: -32002,
  DeviceNotReady: -32003,
  DeviceBlocked: -32004,
  ContextNotFound: -32005,
  IoasNotFound: -32006,
  IoasBusy: -32007,
  RangeConflict: -32008,
  NotSupported: -32009,
  PermissionDenied: -32010,
  LimitExceeded: -32011,
  AlreadyExists: -32012,
  KernelError: -32013,
  NotHeld: -32014,
};

/** When each class is used, for the generated reference. */
export const ERROR_SUMMARIES: Readonly<Record<HostErrorClass, string>> = {
  DeviceNotFound: "There is no such device, or it has no IOMMU group.",
  DeviceBusy:
    "The device is held already, by this daemon or another process, or a group sibling stands in the way.",
  DeviceNotReady: "The device is not bound to a VFIO driver or has no cdev node; see data.driver.",
  DeviceBlocked: "The platform rules the device out; see data.blockers.",
  ContextNotFound: "There is no context of that name.",
  IoasNotFound: "There is no IO address space of that id in the context.",
  IoasBusy: "Devices are attached to the IO address space.",
  RangeConflict: "The kernel excludes part of what was asked for; see data.conflicts.",
  NotSupported: "This kernel or backend cannot do it; see data.missing.",
  PermissionDenied:
    "The role of the peer does not allow the method, or another uid owns the object; see data.owner.",
  LimitExceeded: "A limit of the daemon was reached; see data.limit.",
  AlreadyExists: "There is a context of that name already.",
  KernelError: "The kernel refused for another reason; see data.errno and data.operation.",
  NotHeld: "The daemon does not hold the device.",
};

/** What of a client's own text a message may repeat, in characters. */
const ECHO_LIMIT = 64;

/** Client text for a message: quoted, and cut when it is long. */
export function quote(text: string): string {
  return JSON.stringify(text.length > ECHO_LIMIT ? `${text.slice(0, ECHO_LIMIT)}…` : text);
}

/** What is said of a member that is none of those that are `known`. */
export function unknownMember(name: string, known: Iterable<string>): string {
  return `unknown member ${quote(name)}${suggestion(name, known)}`;
}

/** -32602. Handlers throw it for what a schema cannot say. */
export function invalidParams(message: string): JSONRPCErrorException {
  return new JSONRPCErrorException(
    `Invalid params: ${message}`,
    JSONRPCErrorCode.InvalidParams,
    classed("InvalidParams"),
  );
}

/** -32601. `known`: the names that there are. */
export function methodNotFound(name: string, known: Iterable<string>): JSONRPCErrorException {
  return new JSONRPCErrorException(
    `Method not found: ${quote(name)}${suggestion(name, known)} (query-commands lists the methods)`,
    JSONRPCErrorCode.MethodNotFound,
    classed("MethodNotFound"),
  );
}

/** -32600 that says which rule of the dialect the message breaks. */
export function invalidRequest(message: string): JSONRPCError {
  return {
    code: JSONRPCErrorCode.InvalidRequest,
    message: `Invalid Request: ${message}`,
    data: classed("InvalidRequest"),
  };
}

/** -32700: the line is no JSON, or not even UTF-8. */
export function parseError(message: string): JSONRPCError {
  return {
    code: JSONRPCErrorCode.ParseError,
    message: `Parse error: ${message}`,
    data: classed("ParseError"),
  };
}

/** The one limit that is reported as an invalid request: nothing of the line was looked at. */
export function lineTooLong(limit: number): JSONRPCError {
  const data = { ...classed("LimitExceeded"), limit: "max-request" satisfies LimitName };
  return { ...invalidRequest(`a line may hold at most ${limit} bytes`), data };
}

function classed(name: StandardErrorClass | HostErrorClass) {
  return { class: name };
}

/** LimitExceeded, for a request that has come before enough of its predecessors were answered. */
export function tooManyInFlight(limit: number): HostError {
  return limitExceeded(
    "max-in-flight",
    `${limit} requests are in flight already; send it again when one of them is answered`,
  );
}

/** PermissionDenied, for a connection that ends with it. */
export function notLetIn(why: string): HostError {
  return new HostError("PermissionDenied", why);
}

/** True for errors that clients are meant to see. Everything else is a fault of the daemon, to be logged. */
export function isExpected(error: unknown): error is HostError | JSONRPCErrorException {
  return error instanceof HostError || error instanceof JSONRPCErrorException;
}

/** What goes on the wire for anything thrown: of an unexpected error nothing but the fact. */
export function toErrorObject(error: unknown): JSONRPCError {
  if (error instanceof HostError) {
    const data = { ...(toWire(error.data) as object), class: error.errorClass };
    return { code: ERROR_CODES[error.errorClass], message: error.message, data };
  }
  if (error instanceof JSONRPCErrorException) return error.toObject();
  return {
    code: JSONRPCErrorCode.InternalError,
    message: "Internal error: the daemon's log says more",
    data: classed("InternalError"),
  };
}

/** The host's data as JSON: an address is a bigint there. */
function toWire(value: unknown): unknown {
  if (typeof value === "bigint") return formatAddress(value);
  if (Array.isArray(value)) return value.map(toWire);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, toWire(member)]));
}
