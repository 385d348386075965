import { suffices } from "../access/policy.ts";
import { HostError } from "../host/errors.ts";
import type { ControlLog } from "./control-log.ts";
import type { Call, Connection, Method } from "./method.ts";
import { parseParams } from "./params.ts";

/**
 * Runs one call: first the role, so that a peer learns nothing from the params of what it may not call, then the
 * params, then the handler.
 * @throws HostError PermissionDenied
 * @throws JSONRPCErrorException -32602
 */
export function execute(method: Method, params: unknown, call: Call, log: ControlLog): unknown {
  const { connection } = call;
  const deny = () => {
    log.denied(method, connection);
    throw permissionDenied(method, connection);
  };
  if (!suffices(connection.peer.role, method.role)) deny();
  const parse = () => parseParams(method.params, params);
  if (method.role === "control") {
    return log.follow(method, connection, parse, (parsed) => method.handler(parsed, call));
  }
  const parsed = parse();
  if (!method.takesControl?.(parsed)) return method.handler(parsed, call);
  if (connection.peer.role !== "control") deny();
  return log.follow(
    method,
    connection,
    () => parsed,
    () => method.handler(parsed, call),
  );
}

function permissionDenied({ name, role }: Method, { peer }: Connection): HostError {
  const what = role === "control" ? name : `${name} with these params`;
  return new HostError(
    "PermissionDenied",
    `${what} takes the role control, and uid ${peer.uid} has the role ${peer.role}; query-commands lists what it may call`,
    { role: "control" },
  );
}
