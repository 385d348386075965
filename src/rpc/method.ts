import * as z from "zod";
import type { Role } from "../access/policy.ts";
import type { HostErrorClass } from "../host/errors.ts";
import type { Host } from "../host/host.ts";
import { lazily } from "../lazily.ts";
import type { Limits } from "../limits.ts";
import type { Metric } from "../metrics/metric.ts";
import type { Subscriber } from "./connection.ts";
import type { EventHub } from "./event-hub.ts";
import type { TimeSlice } from "./time-slice.ts";

/** The daemon as it tells about itself. */
export interface DaemonInfo {
  readonly name: string;
  readonly version: string;
  /** The version of the wire contract. */
  readonly protocol: number;
  readonly backend: "linux" | "simulated";
  /** A UUID of this lineage of state. */
  readonly instance: string;
  readonly startedAt: Date;
  /** Seconds since then, whatever has become of the wall clock. */
  uptime(): number;
  /** How many connections are open now. */
  connections(): number;
  /** How many lines of its log nobody has taken. */
  logLinesDropped(): number;
  /** From how many restarts the state was taken over. */
  readonly restarts: number;
  /** Whether a restart will take over what there is now. */
  readonly keepsState: boolean;
  /** Everything that is measured, as it is now. */
  metrics(): readonly Metric[];
}

/** What a handler gets beside its params. */
export interface Call {
  readonly host: Host;
  readonly daemon: DaemonInfo;
  readonly connection: Subscriber;
  readonly events: EventHub;
  /** As they are now. */
  readonly limits: Limits;
  /** The whole table, for the methods that describe it. */
  readonly methods: readonly Method[];
  /** Work that grows with the request asks it between two pieces. */
  readonly slice: TimeSlice;
}

/** Params of a method: an object that refuses members it does not know. */
export type ParamsType = z.ZodObject<z.core.$ZodLooseShape, z.core.$strict>;

/** One method: everything there is to know about it. Schemas and documentation are generated from it. */
export interface Method<
  Params extends ParamsType = ParamsType,
  Result extends z.ZodType = z.ZodType,
  Name extends string = string,
> {
  readonly name: Name;
  readonly role: Role;
  /** Of a method that observes: whether with these params it changes the host, and takes the role control. */
  takesControl(params: z.output<Params>): boolean;
  /** One sentence. */
  readonly summary: string;
  readonly params: Params;
  /** Whether {@link params} are {@link noParams}. */
  readonly takesNothing: boolean;
  /** The result as it stands on the wire: what the handler returns must already be JSON. */
  readonly result: Result;
  /** The classes of error that the method gives, beside the standard ones. */
  readonly errors: readonly HostErrorClass[];
  /**
   * Returns a promise only when it has to wait: anything else is answered on the spot. A result that is frozen is
   * taken for immutable, and serialised once however often it is returned.
   */
  handler(params: z.output<Params>, call: Call): z.input<Result> | Promise<z.input<Result>>;
}

/** A method, with what makes its schemas. One that never takes control need not say so. */
type Definition<Params extends ParamsType, Result extends z.ZodType, Name extends string> = Omit<
  Method<Params, Result, Name>,
  "params" | "result" | "takesControl" | "takesNothing"
> &
  Partial<Pick<Method<Params, Result, Name>, "takesControl">> & {
    readonly params: () => Params;
    readonly result: () => Result;
  };

const never = () => false;

/** The params of a method that takes nothing. */
export const noParams = lazily(() => z.strictObject({}));

/**
 * Ties the handler's types to the schemas. Those are made when somebody asks for them: all of them at once would be a
 * good part of the daemon's start, and most are never asked for.
 */
export function defineMethod<Params extends ParamsType, Result extends z.ZodType, const Name extends string>(
  definition: Definition<Params, Result, Name>,
): Method<Params, Result, Name> {
  return new DefinedMethod(definition);
}

/**
 * A class, so that all methods have one shape: getters in a copy of the definition would make each of them a table, to be
 * searched for every member that a request asks for.
 */
class DefinedMethod<Params extends ParamsType, Result extends z.ZodType, const Name extends string>
  implements Method<Params, Result, Name>
{
  readonly name: Name;
  readonly role: Role;
  readonly takesControl: Method<Params, Result, Name>["takesControl"];
  readonly summary: string;
  readonly errors: readonly HostErrorClass[];
  readonly handler: Method<Params, Result, Name>["handler"];
  readonly takesNothing: boolean;
  readonly #params: () => Params;
  readonly #result: () => Result;

  constructor(definition: Definition<Params, Result, Name>) {
    this.name = definition.name;
    this.role = definition.role;
    this.takesControl = definition.takesControl ?? never;
    this.summary = definition.summary;
    this.errors = definition.errors;
    this.handler = definition.handler;
    this.takesNothing = definition.params === (noParams as unknown);
    this.#params = lazily(definition.params);
    this.#result = lazily(definition.result);
  }

  get params(): Params {
    return this.#params();
  }

  get result(): Result {
    return this.#result();
  }
}
