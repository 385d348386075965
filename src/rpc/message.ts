import type { JSONRPCError } from "json-rpc-2.0";

/** What a client wants: a method, by name, with params that nobody has looked at yet. */
export interface Request {
  readonly kind: "request";
  /** To be echoed; undefined when the client has given none. */
  readonly id: unknown;
  /** False for what is done without a word. */
  readonly isAnswered: boolean;
  readonly method: string;
  readonly params: unknown;
}

/** A message that is no request, with what to say of it. */
export interface Fault {
  readonly kind: "fault";
  readonly id: unknown;
  readonly error: JSONRPCError;
}

/** Several messages in one, answered in one. */
export interface Batch {
  readonly kind: "batch";
  readonly messages: readonly unknown[];
}

export type Message = Request | Fault | Batch;
