import type { z } from "zod";
import type { WireEvents } from "../rpc/events.ts";
import type { METHODS } from "../rpc/methods/index.ts";

/** Types only: a client loads nothing of the daemon's. */

type MethodTable = { [M in (typeof METHODS)[number] as M["name"]]: M };

/** Every method that the daemon of this version has. */
export type MethodName = keyof MethodTable;

/** What a method takes. */
export type Params<Name extends MethodName> = DeepReadonly<z.input<MethodTable[Name]["params"]>>;

/** What is only read may be read-only. */
type DeepReadonly<T> = T extends readonly (infer Each)[]
  ? readonly DeepReadonly<Each>[]
  : T extends object
    ? { readonly [Name in keyof T]: DeepReadonly<T[Name]> }
    : T;

/** What a method answers. */
export type Result<Name extends MethodName> = z.input<MethodTable[Name]["result"]>;

/** The arguments behind a method's name: params may be left out when none of them is required. */
export type Arguments<Name extends MethodName> =
  Record<never, never> extends Params<Name> ? [params?: Params<Name>] : [params: Params<Name>];

/** Every event that the daemon of this version sends, but for what a stream keeps to itself. */
export type EventName = Exclude<keyof WireEvents, "EVENTS_LOST">;

/** One event as it comes. */
export type DaemonEvent<Name extends EventName = EventName> = {
  readonly [Each in Name]: { readonly method: Each; readonly params: WireEvents[Each] };
}[Name];

/** A place in the daemon's history of events. */
export interface Position {
  /** Which lineage of state the sequence belongs to. */
  readonly instance: string;
  /** Of the last event that is known. */
  readonly sequence: number;
}

/** Everything as it stands after the event `sequence`. */
export interface Snapshot {
  /** No event of the daemon's: what comes before it is not to be folded into it. */
  readonly method: "SNAPSHOT";
  readonly params: Position & {
    readonly [Name in "devices" | "contexts" | "ioas"]: NonNullable<Result<"subscribe">[Name]>;
  };
}

/** The first thing that a daemon says. */
export interface Greeting {
  readonly service: "iovad";
  readonly version: string;
  /** Of the wire contract. */
  readonly protocol: number;
  readonly backend: "linux" | "simulated";
  /** As in Position; a daemon that lost nothing in a restart keeps it. */
  readonly instance: string;
  /** Of the last event before. */
  readonly sequence: number;
}
