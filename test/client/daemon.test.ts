import { closeSync, mkdtempSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it } from "vitest";
import { type Client, connect, DaemonError } from "../../src/client/index.ts";
import { Daemon } from "../daemon/daemon.ts";

const NIC = "0000:00:05.0";
const TOPOLOGY = {
  iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } }],
  devices: [{ device: NIC, iommu: "dmar0", driver: "vfio-pci" }],
};

let directory: string;
let socket: string;
let daemon: Daemon;
const clients: Client[] = [];

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "iovad-client-"));
  socket = join(directory, "s");
  daemon = await Daemon.start({ topology: TOPOLOGY, socket });
});
afterEach(() => {
  for (const client of clients.splice(0)) client.destroy();
});
afterAll(async () => {
  await daemon.stop();
  rmSync(directory, { recursive: true });
});

async function enter(options: { descriptors?: boolean; reconnect?: boolean } = {}): Promise<Client> {
  const client = await connect({ socket, ...options });
  clients.push(client);
  return client;
}

it.each([false, true])(
  "a device's life, with its events before the answers (descriptors: %s)",
  async (descriptors) => {
    const client = await enter({ descriptors });
    const stream = client.events({ names: ["DEVICE_HELD", "DEVICE_ATTACHED", "DEVICE_RELEASED"] });
    const { value: first } = await stream.next();
    expect(first).toMatchObject({
      method: "SNAPSHOT",
      params: { devices: [{ device: NIC, state: "observed" }] },
    });
    const { ioas } = await client.call("create-ioas");
    await client.call("hold-device", { device: NIC });
    const { ranges } = await client.call("attach-device", { device: NIC, ioas });
    expect(ranges.at(-1)?.last).toBe("0x7fffffffff");
    await client.call("release-device", { device: NIC });
    await client.call("destroy-ioas", { ioas });
    await client.close();
    const names: string[] = [];
    for await (const { method } of stream) names.push(method);
    expect(names).toEqual(["DEVICE_HELD", "DEVICE_ATTACHED", "DEVICE_RELEASED"]);
  },
);

it("a refusal has the daemon's code, class and data", async () => {
  const client = await enter();
  const error = (await client
    .call("hold-device", { device: "0000:09:00.0" })
    .catch((thrown) => thrown)) as DaemonError;
  expect(error).toBeInstanceOf(DaemonError);
  expect(error).toMatchObject({ code: -32001, class: "DeviceNotFound" });
  await expect(client.request("no-such-method")).rejects.toMatchObject({ code: -32601 });
});

it("a simulated host hands over placeholders, which are the caller's and say so", async () => {
  const client = await enter({ descriptors: true });
  await client.call("create-context", { context: "vm", lease: "connection" });
  const { result, fds } = await client.callForDescriptors("hand-over-device", { device: NIC, context: "vm" });
  expect(result).toEqual({ device: NIC, context: "vm", fds: ["iommufd", "device"], simulated: true });
  const names = fds.map((fd) => basename(readlinkSync(`/proc/self/fd/${fd}`)));
  expect(names).toEqual(["!dev!iommu (deleted)", "!dev!vfio!devices!vfio0 (deleted)"]);
  const state = async () => (await client.call("query-devices", { device: NIC })).devices[0]?.state;
  // The daemon sees who has what it has passed, as it does on a real host.
  expect(await state()).toBe("handed-over");
  const busy = client.call("hold-device", { device: NIC });
  await expect(busy).rejects.toMatchObject({ class: "DeviceBusy", data: { processes: [process.pid] } });
  for (const fd of fds) closeSync(fd);
  expect(await client.call("hold-device", { device: NIC })).toMatchObject({ device: NIC });
  expect(await state()).toBe("held");
  await client.call("release-device", { device: NIC });
});

it("events are taken up where they were when a stream begins again", async () => {
  const [witness, actor] = [await enter(), await enter()];
  const before = witness.events({ names: ["CONTEXT_CREATED"] });
  const { value: snapshot } = await before.next();
  await before.return();
  if (snapshot?.method !== "SNAPSHOT") throw new Error("no snapshot");
  await actor.call("create-context", { context: "missed" });
  const { instance, sequence } = snapshot.params;
  const after = witness.events({ names: ["CONTEXT_CREATED"], since: { instance, sequence } });
  expect((await after.next()).value).toMatchObject({
    method: "CONTEXT_CREATED",
    params: { context: "missed" },
  });
  await actor.call("destroy-context", { context: "missed" });
});

it("a client that reconnects goes on with the next daemon, and is told that it has to begin anew", async () => {
  const client = await enter({ reconnect: true });
  await client.call("create-context", { context: "old" });
  const stream = client.events();
  const { value: first } = await stream.next();
  expect(first).toMatchObject({ method: "SNAPSHOT" });
  const { instance } = client.greeting;
  await daemon.signal("SIGKILL");
  daemon = await Daemon.start({ topology: TOPOLOGY, socket });
  const { contexts } = await client.call("query-contexts");
  expect(contexts.map(({ context }) => context)).toEqual(["default"]);
  expect(client.greeting.instance).not.toBe(instance);
  const { value: next } = await stream.next();
  expect(next).toMatchObject({ method: "SNAPSHOT", params: { instance: client.greeting.instance } });
});
