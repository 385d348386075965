import type { HostErrorClass } from "../host/errors.ts";

/** The daemon's classes of error; a later daemon may have more. */
export type ErrorClass =
  | HostErrorClass
  | "ParseError"
  | "InvalidRequest"
  | "MethodNotFound"
  | "InvalidParams"
  | "InternalError"
  | (string & {});

/** The daemon has refused. `message` is the daemon's own, for people: it says what to do next. */
export class DaemonError extends Error {
  override readonly name = "DaemonError";
  /** As in the table of errors, e.g. -32001. */
  readonly code: number;
  /** As in the table of errors, e.g. "DeviceNotFound": what a program should look at. */
  readonly class: ErrorClass | undefined;
  /** Everything that came with it, `class` among it. */
  readonly data: Readonly<Record<string, unknown>>;

  constructor({ code, message, data }: ErrorObject) {
    super(message);
    this.code = code;
    this.data = (data ?? {}) as Record<string, unknown>;
    this.class = this.data.class as ErrorClass | undefined;
  }
}

/** An error as it stands in a message. */
export interface ErrorObject {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/**
 * What was wrong: the errno of a failed call (ENOENT, ECONNREFUSED, EACCES, EMFILE …), or
 * - CLOSED: the connection has ended, or this client was closed;
 * - SILENT: somebody listens, and does not greet in time;
 * - NOT_IOVAD: what listens is something else;
 * - PROTOCOL: it speaks another version of the wire contract;
 * - GARBAGE: it has sent what the contract does not allow;
 * - TOO_LONG: it has sent a line longer than the client takes;
 * - NO_KOFFI: descriptors were asked for, and the native code that receives them cannot be loaded.
 */
export type ConnectionFault =
  | "CLOSED"
  | "SILENT"
  | "NOT_IOVAD"
  | "PROTOCOL"
  | "GARBAGE"
  | "TOO_LONG"
  | "NO_KOFFI"
  | (string & {});

/** There is no connection, or no more. Whether a request that was under way has happened, nobody knows. */
export class ConnectionError extends Error {
  override readonly name = "ConnectionError";
  readonly code: ConnectionFault;

  constructor(code: ConnectionFault, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
  }
}

const LASTING: ReadonlySet<string> = new Set(["NOT_IOVAD", "PROTOCOL", "GARBAGE", "TOO_LONG"]);

/** Whether another try to connect does not mend it. */
export function isLasting(error: unknown): boolean {
  if (error instanceof DaemonError) return error.class !== "LimitExceeded";
  return error instanceof ConnectionError && LASTING.has(error.code);
}
