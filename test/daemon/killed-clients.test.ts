import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { Lease } from "../../src/host/contexts/lease.ts";
import { EventHub } from "../../src/rpc/event-hub.ts";
import { defineMethod, type Method } from "../../src/rpc/method.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { RpcServer } from "../../src/rpc/server.ts";
import { assertModelEqualsKernel, MSI, NIC, Simulation } from "../host/simulation.ts";
import { latch } from "../rpc/stub.ts";
import { fewOf } from "../runs.ts";
import { CONTROL_METHODS, DOOMED, livesOf, spawnClient } from "./doomed.ts";

/** Of the only device. */
const CDEV = "/dev/vfio/devices/vfio0";

/**
 * Lets a process ask for a life and kills it with SIGKILL inside the last request: at its start, or after a call off
 * the event loop has been made and before the daemon has heard its result. Resolves when the connection is over.
 * Returns how many such calls the daemon made from the request's start to its handler's end.
 */
async function killInside(method: string, moment: "start" | number, lease: Lease = "connection") {
  const directory = mkdtempSync(join(tmpdir(), "iovad-killed-"));
  const path = join(directory, "s");
  const simulation = new Simulation({ devices: [{ device: NIC, regions: [MSI] }] });
  const { host, kernel } = simulation;
  const over = latch();
  let client: ReturnType<typeof spawnClient>;
  const kill = async () => {
    const dead = once(client, "exit");
    client.kill("SIGKILL");
    expect(await dead).toEqual([null, "SIGKILL"]);
    // The server hears of it in the next turns of the event loop.
    for (let turn = 0; turn < 3; turn++) await setImmediate();
  };
  let calls = 0;
  const methods = (METHODS as readonly Method[]).map((each) => {
    if (each.name !== method) return each;
    const handler: typeof each.handler = async (params, call) => {
      call.connection.onClose(over.open);
      kernel.made = async () => {
        if (++calls === moment) await kill();
      };
      if (moment === "start") await kill();
      return Promise.resolve(each.handler(params, call)).finally(() => {
        kernel.made = async () => {};
        // The last call has been made, but not the answer.
        if (typeof moment === "number" && calls < moment) client.kill("SIGKILL");
      });
    };
    return defineMethod({ ...each, params: () => each.params, result: () => each.result, handler });
  });
  const server = new RpcServer({
    access: { peerOf: () => ({ uid: 0, gid: 0, pid: 1, groups: [] }), roleOf: () => "control" },
    methods,
    host,
    events: new EventHub(),
    backend: "simulated",
    version: "0",
    log: pino({ level: "silent" }),
  });
  await server.listen(path);
  try {
    client = spawnClient(path, livesOf(NIC, lease).get(method) ?? []);
    await over.opened;
    const isThere = () => host.contexts().some(({ name }) => name === DOOMED);
    // A lease ends behind the callback above, in as many turns as there is to close.
    while (lease === "connection" && isThere()) await setImmediate();
    // What was to be handed over is closed off the event loop.
    while (method === "hand-over-device" && simulation.openPaths().includes(CDEV)) await setImmediate();
    await assertModelEqualsKernel(simulation);
    await server.close();
    if (lease === "connection") {
      expect(simulation.openPaths()).toEqual([]);
      await host.hold(NIC, "default");
    }
    await host.close();
    expect(simulation.openPaths()).toEqual([]);
  } finally {
    rmSync(directory, { recursive: true });
  }
  return calls;
}

it("every method that controls is here", () => {
  expect([...livesOf(NIC).keys()].sort()).toEqual([...CONTROL_METHODS].sort());
});

describe.each(fewOf(CONTROL_METHODS, 6))("a client killed inside %s", (method) => {
  it("leaves the model equal to the kernel, and nothing of its lease", async () => {
    const calls = await killInside(method, "start");
    const moments = Array.from({ length: calls + 1 }, (_, index) => index + 1);
    for (const moment of fewOf(moments, 1)) {
      await killInside(method, moment).catch((cause) => {
        throw new Error(`killed at moment ${moment}`, { cause });
      });
    }
  });
});

it.each(fewOf(CONTROL_METHODS, 2))(
  "a client killed inside %s leaves what has no lease as the model has it",
  async (method) => {
    await killInside(method, 1, "persistent");
  },
);
