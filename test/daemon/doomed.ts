import { type ChildProcess, spawn } from "node:child_process";
import type { Lease } from "../../src/host/contexts/lease.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";

/** A method and its params. */
export type Request = readonly [method: string, params: object];

/** The context that the requests below are about. */
export const DOOMED = "doomed";

/** What a client of a host with that device asks before each method that controls, and then the method itself. */
export function livesOf(
  device: string,
  lease: Lease = "connection",
): ReadonlyMap<string, readonly Request[]> {
  const context = { context: DOOMED };
  const create: Request = ["create-context", { ...context, lease }];
  const ioas: Request = ["create-ioas", context];
  const hold: Request = ["hold-device", { device, ...context }];
  const attach: Request = ["attach-device", { device, ioas: 1 }];
  const lives: (readonly Request[])[] = [
    [create],
    [create, hold, ["destroy-context", context]],
    [create, ioas],
    [create, ioas, ["destroy-ioas", { ...context, ioas: 1 }]],
    [
      create,
      ioas,
      ["allow-ranges", { ...context, ioas: 1, ranges: [{ start: "0x100000", last: "0x1fffff" }] }],
    ],
    [create, ["probe-device", { device }]],
    [create, hold],
    [create, hold, ["release-device", { device }]],
    [create, ioas, hold, attach],
    [create, ioas, hold, attach, ["detach-device", { device }]],
    [create, ioas, ["hand-over-device", { device, ...context }]],
    [create, ioas, ["hand-over-context", context]],
  ];
  return new Map(lives.map((life) => [life.at(-1)?.[0] ?? "", life]));
}

/** The methods that control, which all need a life; but a lease is resumed after a restart only, see test/rpc/restart.test.ts. */
export const CONTROL_METHODS = METHODS.filter(({ role }) => role === "control")
  .map(({ name }) => name)
  .filter((name) => name !== "resume-context");

/**
 * Asks one thing after another, goes when one is refused, and with "dies" as the first argument kills itself right
 * after it sent the last.
 */
const CLIENT = `
  const [, end, path, requests] = process.argv;
  const lines = JSON.parse(requests).map(([method, params], id) => JSON.stringify({ jsonrpc: "2.0", id, method, params }) + "\\n");
  const socket = require("node:net").connect(path);
  const next = () => socket.write(lines.shift(), () => {
    if (end === "dies" && lines.length === 0) process.kill(process.pid, "SIGKILL");
  });
  require("node:readline").createInterface({ input: socket }).on("line", (line) => {
    const { method, error } = JSON.parse(line);
    if (error) throw new Error(line);
    if ((method === undefined || method === "greeting") && lines.length > 0) next();
  });
`;

/** A process that lives such a life; it stays until somebody kills it, or dies by its own hand. */
export function spawnClient(
  path: string,
  requests: readonly Request[],
  end: "stays" | "dies" = "stays",
): ChildProcess {
  return spawn(process.execPath, ["-e", CLIENT, end, path, JSON.stringify(requests)], {
    stdio: ["ignore", "ignore", "inherit"],
  });
}
