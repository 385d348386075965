import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { afterEach, beforeEach, it } from "vitest";
import { type Client, connect } from "../../src/client/index.ts";
import { EventHub } from "../../src/rpc/event-hub.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { RpcServer } from "../../src/rpc/server.ts";
import { NIC } from "../host/simulation.ts";
import { Life } from "../host/survival/life.ts";
import { World } from "../host/survival/world.ts";

let directory: string;
let world: World;
let daemon: Awaited<ReturnType<typeof serve>>;
let clients: Client[];
/** Told when a client has noticed that its connection is lost. */
let noticed: () => void;

/** One process of the daemon, when it has taken over and serves. */
async function serve() {
  let events = new EventHub();
  const life = new Life(world, undefined, (journal) => {
    events = new EventHub({ journal });
    return (change) => events.publish(change);
  });
  const lost = await life.host.takeOver(30);
  if (lost && lost.length > 0) events.renew();
  if (lost) life.host.restarted(events.instance, lost);
  const server = new RpcServer({
    access: {
      peerOf: () => ({ uid: 7, gid: 7, pid: 1, groups: [] }),
      roleOf: () => "control",
    },
    methods: METHODS,
    host: life.host,
    events,
    backend: "simulated",
    version: "0",
    log: pino({ level: "silent" }),
    closing: 0,
  });
  await server.listen(join(directory, "s"));
  return { life, server, events };
}

/** The process dies at rest: its connections end, and nothing is given back. */
async function restart(): Promise<void> {
  const { life, server } = daemon;
  // Those of the restart before have come back.
  for (const each of clients) await each.call("query-version");
  life.host.keepLeases();
  life.dies = life.steps.length;
  let left = clients.length;
  const allNoticed = new Promise<void>((resolve) => {
    noticed = () => --left === 0 && resolve();
  });
  await server.close();
  await allNoticed;
  await world.reap();
  daemon = await serve();
}

async function client(): Promise<Client> {
  const connectionLost = () => noticed();
  const connected = await connect({ socket: join(directory, "s"), reconnect: true, connectionLost });
  clients.push(connected);
  return connected;
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "iovad-"));
  clients = [];
  world = new World({ devices: [{ device: NIC, group: 1 }] });
  daemon = await serve();
});

afterEach(async () => {
  for (const each of clients) each.destroy();
  await daemon.server.close();
  rmSync(directory, { recursive: true });
});

it("a client's context and its device go on through restarts, by itself", async () => {
  const actor = await client();
  await actor.call("create-context", { context: "vm", lease: "connection" });
  const { ioas } = await actor.call("create-ioas", { context: "vm" });
  await actor.call("hold-device", { device: NIC, context: "vm" });
  await actor.call("attach-device", { device: NIC, ioas });
  for (let i = 0; i < 3; i++) {
    await restart();
    const { devices } = await actor.call("query-devices", { device: NIC });
    assert.deepEqual(
      devices.map(({ state, context, ioas }) => [state, context, ioas]),
      [["attached", "vm", ioas]],
    );
  }
  actor.destroy();
  // The lease is the new connection's: with that it ends.
  while (daemon.life.host.contexts().some(({ name }) => name === "vm")) await new Promise(setImmediate);
});

it("a subscriber has every event exactly once through restarts, and one lineage", async () => {
  const listener = await client();
  const actor = await client();
  const stream = listener.events();
  const { value: snapshot } = await stream.next();
  assert(snapshot?.method === "SNAPSHOT");
  const { instance, sequence } = snapshot.params;
  for (let i = 0; i < 5; i++) {
    await actor.call("create-context", { context: `vm${i}` });
    await restart();
  }
  await actor.call("create-context", { context: "last" });
  const seen: [string, number][] = [];
  for await (const { method, params } of stream) {
    assert(method !== "SNAPSHOT");
    seen.push([method, params.sequence]);
    if (method === "CONTEXT_CREATED" && "context" in params && params.context === "last") break;
  }
  assert.deepEqual(
    seen.map(([, each]) => each),
    seen.map((_, i) => sequence + 1 + i),
  );
  assert.deepEqual(seen.map(([method]) => method).filter((method) => method !== "RESTARTED").length, 6);
  assert.equal(seen.filter(([method]) => method === "RESTARTED").length, 5);
  assert.equal(daemon.events.instance, instance);
});

it("where something is lost the lineage is another one, and subscribers get a snapshot", async () => {
  const listener = await client();
  const actor = await client();
  await actor.call("create-context", { context: "vm" });
  const stream = listener.events();
  await stream.next();
  const { instance } = daemon.events;
  await world.forget("context-vm");
  await restart();
  const { value: snapshot } = await stream.next();
  assert(snapshot?.method === "SNAPSHOT");
  assert.notEqual(snapshot.params.instance, instance);
  assert.deepEqual(
    snapshot.params.contexts.map(({ context }) => context),
    ["default"],
  );
  const { events } = await actor.call("query-events", { events: ["RESTARTED"] });
  assert.deepEqual(
    events.map(({ params }) => params.lost),
    [[{ context: "vm", reason: "the store has not kept its iommufd" }]],
  );
});

it("a context that has no lease does not wait for anybody", async () => {
  const actor = await client();
  await actor.call("create-context", { context: "vm" });
  await restart();
  await assert.rejects(actor.call("resume-context", { context: "vm" }), /does not wait for a client/);
});
