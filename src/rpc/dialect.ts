import type { JSONRPCError } from "json-rpc-2.0";
import type { Reader } from "./framing.ts";
import type { Call, DaemonInfo, Method } from "./method.ts";
import type { Text } from "./text.ts";
import type { EventWording } from "./wire-event.ts";

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

/** How messages look on the wire: the one place that knows. What they mean is the same in every dialect. */
export interface Dialect extends EventWording {
  /** Methods of its own, and those that it words in its own way. */
  readonly methods: ReadonlyMap<string, Method>;
  /** Cuts what comes over a connection into messages of at most so many bytes. */
  reader(limit: () => number): Reader;
  /** The first line of a connection. `sequence`: of the last event. */
  greeting(daemon: DaemonInfo, sequence: number): string;
  /** What a parsed line means. */
  read(message: unknown): Request | Fault | Batch;
  /** `result` is JSON already. */
  answer(id: unknown, result: Text): Text;
  /** `id`: undefined when it could not be made out. */
  error(id: unknown, error: JSONRPCError): string;
}

/** A call over a connection of which the dispatcher knows the dialect. */
export type DialectCall = Call & { readonly connection: { readonly dialect: Dialect } };
