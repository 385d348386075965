import { once } from "node:events";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { Daemon } from "../daemon/daemon.ts";
import { CONTROL_METHODS, DOOMED, livesOf, spawnClient } from "../daemon/doomed.ts";
import { Listener } from "../daemon/listener.ts";
import { endUnsurprised, openDevices } from "./guest.ts";

const DEVICE = "0000:00:05.0";
const LIVES = livesOf(DEVICE);

let daemon: Daemon;
let client: Client;
let listener: Listener;
beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
  listener = await Listener.subscribe(daemon.socket);
});
afterAll(async () => {
  listener.close();
  await endUnsurprised(daemon);
});

// The daemon does it without its client: the request waits in the socket when the client dies.
it.each(CONTROL_METHODS)("a client killed inside %s leaves nothing behind", async (method) => {
  const from = listener.heard.length;
  const doomed = spawnClient(daemon.socket, LIVES.get(method) ?? [], "dies");
  expect(await once(doomed, "exit")).toEqual([null, "SIGKILL"]);
  await listener.until("CONTEXT_DESTROYED", { context: DOOMED }, from);
  expect(openDevices(daemon.pid)).toEqual([]);
  const { contexts } = await client.call("query-contexts");
  expect(contexts).toMatchObject([{ context: "default", ioas: [], devices: [] }]);
  const { devices } = await client.call("query-devices", { device: DEVICE });
  expect(devices).toMatchObject([{ state: "observed", context: null, ioas: null }]);
});

it("the device is there for the next", async () => {
  await client.call("hold-device", { device: DEVICE });
  await client.call("release-device", { device: DEVICE });
  expect(await client.call("query-status")).toMatchObject({ "held-devices": 0 });
});
