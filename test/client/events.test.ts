import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Client, type ConnectOptions, connect, type EventOptions } from "../../src/client/index.ts";
import { FakeServer, type Peer } from "./fake-server.ts";

let server: FakeServer;
let client: Client;
let peer: Peer;
beforeEach(async () => {
  server = await FakeServer.start();
});
afterEach(async () => {
  client.destroy();
  await server.stop();
});

async function join(options: ConnectOptions = {}): Promise<void> {
  const connecting = connect({ socket: server.path, ...options });
  peer = await server.greeted();
  client = await connecting;
}

const STATE = { devices: [], contexts: [], ioas: [] };
const snapshot = (sequence: number, instance = "a") => ({ instance, sequence, resumed: false, ...STATE });
const resumed = (sequence: number, instance = "a") => ({ instance, sequence, resumed: true });

/** A stream whose snapshot has been read. */
async function subscribe(options: EventOptions = {}) {
  const stream = client.events(options);
  await peer.answer("subscribe", snapshot(10));
  expect((await stream.next()).value).toMatchObject({ method: "SNAPSHOT", params: { sequence: 10 } });
  return stream;
}

type Stream = ReturnType<Client["events"]>;
/** The next items, each by its sequence: a snapshot's is negative. */
async function read(stream: Stream, count: number): Promise<number[]> {
  const sequences: number[] = [];
  for (let each = 0; each < count; each++) {
    const { value } = await stream.next();
    if (!value) throw new Error("the stream has ended");
    sequences.push(value.method === "SNAPSHOT" ? -value.params.sequence : value.params.sequence);
  }
  return sequences;
}

describe("a stream of events", () => {
  it("begins with a snapshot, and goes on with the events as they come", async () => {
    await join();
    const stream = client.events();
    expect(await peer.answer("subscribe", snapshot(10))).toMatchObject({ params: {} });
    peer.event("DEVICE_ADDED", 11, { device: "0000:00:05.0" });
    const items = [];
    for await (const item of stream) {
      items.push(item);
      if (items.length === 2) break;
    }
    expect(items).toEqual([
      { method: "SNAPSHOT", params: { instance: "a", sequence: 10, ...STATE } },
      {
        method: "DEVICE_ADDED",
        params: { device: "0000:00:05.0", sequence: 11, timestamp: { seconds: 11, microseconds: 0 } },
      },
    ]);
    expect(await peer.next()).toMatchObject({ method: "unsubscribe" });
  });

  it("asks for the events that are wanted, behind the one that is known", async () => {
    await join();
    const since = { instance: "a", sequence: 7 };
    const stream = client.events({ names: ["DEVICE_ADDED"], since });
    const { params } = await peer.answer("subscribe", resumed(7));
    expect(params).toEqual({ events: ["DEVICE_ADDED"], since });
    peer.event("DEVICE_ADDED", 9);
    expect(await read(stream, 1)).toEqual([9]);
  });

  it("gives what is behind the snapshot and came before it, and not what is in it", async () => {
    await join();
    const stream = client.events();
    const request = await peer.next();
    for (const sequence of [9, 10, 11]) peer.event("DEVICE_ADDED", sequence);
    peer.send({ id: request?.id, result: snapshot(10) });
    peer.event("DEVICE_ADDED", 12);
    expect(await read(stream, 3)).toEqual([-10, 11, 12]);
  });

  it("gives to several who wait one each, in the order in which they came", async () => {
    await join();
    const stream = await subscribe();
    const waiting = [read(stream, 1), read(stream, 1)];
    peer.event("DEVICE_ADDED", 11);
    peer.event("DEVICE_ADDED", 12);
    expect(await Promise.all(waiting)).toEqual([[11], [12]]);
  });

  it("is one at a time, and may be followed by another", async () => {
    await join();
    const first = await subscribe();
    expect(() => client.events()).toThrow("already");
    await first.return();
    await peer.answer("unsubscribe", {});
    expect(await first.next()).toEqual({ value: undefined, done: true });
    await subscribe();
  });

  it("has none of the events of the one before it, also when those come first", async () => {
    await join();
    const first = await subscribe();
    await first.return();
    const second = client.events({ since: { instance: "a", sequence: 10 } });
    // On its way when the first was given up.
    peer.event("DEVICE_ADDED", 13);
    await peer.answer("unsubscribe", {});
    await peer.answer("subscribe", resumed(10));
    for (const sequence of [11, 12, 13]) peer.event("DEVICE_ADDED", sequence);
    expect(await read(second, 3)).toEqual([11, 12, 13]);
  });

  it("that is given up before it has begun gives nothing", async () => {
    await join();
    const stream = client.events();
    await stream.return();
    await peer.answer("subscribe", snapshot(10));
    await peer.answer("unsubscribe", {});
    const settled = client.request("settle");
    await peer.answer("settle", {});
    await settled;
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  it("throws what the daemon refuses it with, and then has ended", async () => {
    await join();
    const stream = client.events();
    const error = { code: -32011, message: "too many", data: { class: "LimitExceeded" } };
    peer.send({ id: (await peer.next())?.id, error });
    await expect(stream.next()).rejects.toMatchObject({ class: "LimitExceeded" });
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  it.each([
    ["nothing", null],
    ["a text", "x"],
    ["no snapshot", { resumed: false }],
    ["one without a place", { ...snapshot(10), sequence: "10" }],
    ["one without devices", { ...snapshot(10), devices: 5 }],
    ["a thread that it was not asked for", resumed(10)],
  ])("throws when it is answered with %s, and then has ended", async (_what, result) => {
    await join();
    const stream = client.events();
    peer.send({ id: (await peer.next())?.id, result });
    await expect(stream.next()).rejects.toMatchObject({ code: "GARBAGE" });
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  it.each([
    ["no params", {}],
    ["a list of them", { params: [11] }],
    ["no number", { params: { sequence: "11" } }],
  ])("throws when an event comes that has %s", async (_what, params) => {
    await join();
    const stream = await subscribe();
    peer.send({ method: "DEVICE_ADDED", ...params });
    await expect(stream.next()).rejects.toMatchObject({ code: "GARBAGE" });
    expect(await client.closed).toMatchObject({ code: "GARBAGE" });
  });

  it("holds no more than its queue before it has begun, and asks for the others then", async () => {
    await join();
    const stream = client.events({ queue: 3, since: { instance: "a", sequence: 10 } });
    const asked = (await peer.next()) as { id: number };
    for (const sequence of [9, 10, 11, 12, 13]) peer.event("DEVICE_ADDED", sequence);
    peer.send({ id: asked.id, result: resumed(10) });
    await peer.answer("unsubscribe", {});
    expect(await peer.answer("subscribe", resumed(13))).toMatchObject({
      params: { since: { instance: "a", sequence: 11 } },
    });
    for (const sequence of [12, 13]) peer.event("DEVICE_ADDED", sequence);
    expect(await read(stream, 3)).toEqual([11, 12, 13]);
  });

  it("ends with the client, after what has come", async () => {
    await join();
    const stream = await subscribe();
    peer.event("DEVICE_ADDED", 11);
    const answer = client.request("settle");
    await peer.answer("settle", {});
    await answer;
    client.destroy();
    expect(await read(stream, 1)).toEqual([11]);
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });

  it("throws the reason when the connection is lost for good, after what has come", async () => {
    await join();
    const stream = await subscribe();
    peer.event("DEVICE_ADDED", 11);
    peer.socket.end();
    await client.closed;
    expect(await read(stream, 1)).toEqual([11]);
    await expect(stream.next()).rejects.toMatchObject({ code: "CLOSED" });
    expect(await stream.next()).toEqual({ value: undefined, done: true });
  });
});

describe("a reader that is too slow", () => {
  /** More than its queue of three takes: the client gives its subscription up. */
  async function overflow() {
    const stream = await subscribe({ queue: 3 });
    for (const sequence of [11, 12, 13, 14, 15]) peer.event("DEVICE_ADDED", sequence);
    await peer.answer("unsubscribe", {});
    return stream;
  }

  it("gets what its queue has no room for when it has read, without a gap", async () => {
    await join();
    const stream = await overflow();
    expect(await read(stream, 3)).toEqual([11, 12, 13]);
    const later = read(stream, 3);
    const { params } = await peer.answer("subscribe", resumed(13));
    expect(params).toEqual({ since: { instance: "a", sequence: 13 } });
    for (const sequence of [14, 15, 16]) peer.event("DEVICE_ADDED", sequence);
    expect(await later).toEqual([14, 15, 16]);
  });

  it("gets a snapshot for what the daemon has forgotten", async () => {
    await join();
    const stream = await overflow();
    const all = read(stream, 5);
    await peer.answer("subscribe", snapshot(20));
    peer.event("DEVICE_ADDED", 21);
    expect(await all).toEqual([11, 12, 13, -20, 21]);
  });

  it("is taken up where it was when the daemon has lost events for it", async () => {
    await join();
    const stream = await subscribe();
    peer.event("DEVICE_ADDED", 11);
    peer.event("EVENTS_LOST", 15, { count: 3 });
    // Of the subscription that is given up.
    peer.event("DEVICE_ADDED", 16);
    await peer.answer("unsubscribe", {});
    const { params } = await peer.answer("subscribe", resumed(11));
    expect(params).toEqual({ since: { instance: "a", sequence: 11 } });
    for (const sequence of [12, 13, 14, 15, 16]) peer.event("DEVICE_ADDED", sequence);
    expect(await read(stream, 6)).toEqual([11, 12, 13, 14, 15, 16]);
  });
});

describe("a client that reconnects", () => {
  it("takes up its events behind the last one when the daemon has come back", async () => {
    await join({ reconnect: true });
    const stream = await subscribe({ names: ["DEVICE_ADDED"] });
    peer.event("DEVICE_ADDED", 11);
    expect(await read(stream, 1)).toEqual([11]);
    await server.kill();
    await server.restart();
    peer = await server.greeted({ version: "1.2.4" });
    const { params } = await peer.answer("subscribe", resumed(11));
    expect(params).toEqual({ events: ["DEVICE_ADDED"], since: { instance: "a", sequence: 11 } });
    peer.event("DEVICE_ADDED", 12);
    expect(await read(stream, 1)).toEqual([12]);
    expect(client.greeting.version).toBe("1.2.4");
  });

  it("gets a snapshot from a daemon that knows nothing of before, whose sequence begins again", async () => {
    await join({ reconnect: true });
    const stream = await subscribe();
    await server.kill();
    await server.restart();
    peer = await server.greeted({ instance: "b" });
    await peer.answer("subscribe", snapshot(1, "b"));
    peer.event("DEVICE_ADDED", 2);
    expect(await read(stream, 2)).toEqual([-1, 2]);
    await server.kill();
    await server.restart();
    peer = await server.greeted({ instance: "b" });
    const { params } = await peer.answer("subscribe", resumed(2, "b"));
    expect(params).toEqual({ since: { instance: "b", sequence: 2 } });
  });

  it("rejects calls that were under way, and has those that come then wait", async () => {
    await join({ reconnect: true });
    const cut = client.request("cut");
    await peer.next();
    await server.kill();
    await expect(cut).rejects.toMatchObject({ code: "CLOSED" });
    const waiting = client.request("waits");
    await server.restart();
    peer = await server.greeted();
    await peer.answer("waits", { waited: true });
    expect(await waiting).toEqual({ waited: true });
  });

  it("takes up the leases that it has, also those that it has taken up when it was told to", async () => {
    await join({ reconnect: true });
    const asked = [
      client.call("create-context", { context: "made", lease: "connection" }),
      client.call("resume-context", { context: "resumed" }),
    ];
    await peer.answer("create-context", { context: "made" });
    await peer.answer("resume-context", { context: "resumed" });
    await Promise.all(asked);
    peer.socket.destroy();
    peer = await server.greeted();
    for (const context of ["made", "resumed"]) {
      expect((await peer.answer("resume-context", { context })).params).toEqual({ context });
    }
  });

  it("has those wait, too, that are made when it is told of the loss", async () => {
    let waiting: Promise<unknown> | undefined;
    const connectionLost = () => {
      waiting = client.request("waits").catch((error: unknown) => error);
    };
    await join({ reconnect: true, connectionLost });
    for (const _time of ["first", "second"]) {
      peer.socket.destroy();
      peer = await server.greeted();
      await peer.answer("waits", { waited: true });
      expect(await waiting).toEqual({ waited: true });
    }
  });

  it("tries again when it is hung up on, and ends when another try would not help", async () => {
    await join({ reconnect: true });
    const stream = client.events();
    await server.kill();
    await server.restart();
    (await server.peer()).socket.end();
    const full = { code: -32011, message: "full", data: { class: "LimitExceeded" } };
    (await server.peer()).send({ id: null, error: full });
    const waiting = client.request("waits").catch((error: unknown) => error);
    (await server.peer()).greet({ protocol: 2 });
    expect(await client.closed).toMatchObject({ code: "PROTOCOL" });
    expect(await waiting).toMatchObject({ code: "PROTOCOL" });
    await expect(stream.next()).rejects.toMatchObject({ code: "PROTOCOL" });
  });

  it.each(["close", "destroy"] as const)("waits for no greeting any more after %s()", async (end) => {
    await join({ reconnect: true, patience: 3_600_000 });
    peer.socket.destroy();
    const silent = await server.peer();
    const waiting = client.request("waits").catch((error: unknown) => error);
    await client[end]();
    expect(await client.closed).toBeUndefined();
    expect(await waiting).toMatchObject({ code: "CLOSED" });
    expect(await silent.next()).toBeUndefined();
  });

  it("can be closed while it is without a connection", async () => {
    await join({ reconnect: true });
    const stream = await subscribe();
    await server.kill();
    while ((await client.request("probe").catch((error) => error.code)) === undefined);
    const waiting = client.request("waits").catch((error: unknown) => error);
    await client.close();
    expect(await waiting).toMatchObject({ code: "CLOSED" });
    expect(await stream.next()).toEqual({ value: undefined, done: true });
    expect(await client.closed).toBeUndefined();
  });
});
