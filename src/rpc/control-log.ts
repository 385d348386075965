import { JSONRPCErrorException } from "json-rpc-2.0";
import type { Logger } from "pino";
import { monotonic } from "../clock.ts";
import { HostError } from "../host/errors.ts";
import type { Connection } from "./connection.ts";
import type { Method } from "./method.ts";

/** What of params and results a line may name: all of it has passed a schema that bounds its length. */
const NAMES = ["device", "context", "ioas"] as const;

/** Writes one line for every call that changes the host: who asked for what, and what became of it. */
export class ControlLog {
  readonly #log: Logger;
  readonly #now: () => number;
  readonly #denied = new WeakSet<Connection>();

  /** `now`: a clock in milliseconds. */
  constructor(log: Logger, now: () => number = monotonic) {
    this.#log = log;
    this.#now = now;
  }

  /**
   * Runs a call that takes the role control, from the parsing of its params on; `run` says what they were as soon as it
   * knows.
   */
  follow(method: Method, connection: Connection, run: (note: (params: object) => void) => unknown): unknown {
    const began = this.#now();
    let params: object = {};
    const write = (outcome: string, result: object = {}) => {
      const ms = Math.round(this.#now() - began);
      this.#log.info(
        { ...line(method, connection), ...names(params), ...names(result), outcome, ms },
        "call",
      );
    };
    const fail = (error: unknown) => {
      write(outcomeOf(error));
      throw error;
    };
    const succeed = (result: unknown) => {
      write("done", result as object);
      return result;
    };
    let result: unknown;
    try {
      result = run((given) => {
        params = given;
      });
    } catch (error) {
      fail(error);
    }
    return result instanceof Promise ? result.then(succeed, fail) : succeed(result);
  }

  /** A refused call. The first of a connection is worth a line to everybody; the rest must not fill the disk. */
  denied(method: Method, connection: Connection): void {
    const level = this.#denied.has(connection) ? "debug" : "info";
    this.#denied.add(connection);
    this.#log[level]({ ...line(method, connection), outcome: "PermissionDenied", ms: 0 }, "call");
  }
}

function line({ name }: Method, { id, peer: { uid, pid, role } }: Connection) {
  return { method: name, connection: id, uid, pid, role };
}

function names(values: object): Record<string, unknown> {
  const found = NAMES.map((name) => [name, Reflect.get(values, name)] as const);
  return Object.fromEntries(
    found.filter(([, value]) => typeof value === "string" || typeof value === "number"),
  );
}

function outcomeOf(error: unknown): string {
  if (error instanceof HostError) return error.errorClass;
  return error instanceof JSONRPCErrorException ? String(error.code) : "InternalError";
}
