import type { JSONRPCError } from "json-rpc-2.0";
import type { Reader } from "./framing.ts";
import type { LastRequest } from "./last-request.ts";
import type { Message } from "./message.ts";
import type { Call, DaemonInfo, Method } from "./method.ts";
import type { Text } from "./text.ts";
import type { EventWording } from "./wire-event.ts";

/** How messages look on the wire: the one place that knows. What they mean is the same in every dialect. */
export interface Dialect extends EventWording {
  /** Methods of its own, and those that it words in its own way. */
  readonly methods: ReadonlyMap<string, Method>;
  /** Cuts what comes over a connection into messages of at most so many bytes. */
  reader(limit: () => number): Reader;
  /** The first line of a connection. `sequence`: of the last event. */
  greeting(daemon: DaemonInfo, sequence: number): string;
  /** What a parsed line means. */
  read(message: unknown): Message;
  /** `result` is JSON already. */
  answer(id: unknown, result: Text): Text;
  /** `id`: undefined when it could not be made out. */
  error(id: unknown, error: JSONRPCError): string;
}

/** A call over a connection of which the dispatcher knows the dialect. */
export type DialectCall = Call & {
  readonly connection: { readonly dialect: Dialect };
  /** What was asked over it last. */
  readonly last: LastRequest;
};
