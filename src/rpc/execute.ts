import { suffices } from "../access/policy.ts";
import { HostError } from "../host/errors.ts";
import type { Connection } from "./connection.ts";
import type { ControlLog } from "./control-log.ts";
import type { Call, Method } from "./method.ts";
import { parseParams } from "./params.ts";
import type { TimeSlice } from "./time-slice.ts";

/**
 * Runs one call: first the role, so that a peer learns nothing from the params of what it may not call, then the
 * params, then the handler. Throws or rejects with HostError, JSONRPCErrorException -32602, or a fault of ours.
 */
export function execute(method: Method, params: unknown, call: Call, log: ControlLog): unknown {
  const { connection, slice } = call;
  const { role } = connection.peer;
  if (!suffices(role, method.role)) throw denied(method, connection, log);
  if (method.role === "control") {
    return log.follow(method, connection, (note) =>
      then(parsedFor(method, params, slice), (parsed) => {
        note(parsed);
        return method.handler(parsed, call);
      }),
    );
  }
  return then(parsedFor(method, params, slice), (parsed) => {
    if (!method.takesControl(parsed)) return method.handler(parsed, call);
    if (role !== "control") throw denied(method, connection, log);
    return log.follow(method, connection, (note) => {
      note(parsed);
      return method.handler(parsed, call);
    });
  });
}

/** Most ask first who answers: where nothing is asked of zod, the first answer need not wait for what zod makes of itself. */
function parsedFor(method: Method, params: unknown, slice: TimeSlice) {
  return method.takesNothing && params === undefined ? {} : parseParams(method.params, params, slice);
}

/** What comes of a value goes on at once; only a promise is waited for. */
function then<T>(value: T | Promise<T>, next: (value: T) => unknown): unknown {
  return value instanceof Promise ? value.then(next) : next(value);
}

function denied(method: Method, connection: Connection, log: ControlLog): HostError {
  log.denied(method, connection);
  const { name, role } = method;
  const { uid, role: own } = connection.peer;
  const what = role === "control" ? name : `${name} with these params`;
  return new HostError(
    "PermissionDenied",
    `${what} takes the role control, and uid ${uid} has the role ${own}; query-commands lists what it may call`,
    { role: "control" },
  );
}
