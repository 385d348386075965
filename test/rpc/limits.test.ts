import { afterEach, describe, expect, it } from "vitest";
import type { Limits } from "../../src/limits.ts";
import { ADMIN, type Asker, DEVICE, OBSERVER, OTHER, OTHER_ADMIN, startDaemon, TWIN } from "./peers.ts";
import { type Message, request } from "./stub.ts";

let daemon: Awaited<ReturnType<typeof startDaemon>>;
afterEach(() => daemon.stop());

async function start(limits: Partial<Limits>): Promise<(uid: number) => Promise<Asker>> {
  daemon = await startDaemon(limits);
  return daemon.connect;
}

/** Asserts that an answer says which limit was met. */
function expectLimit(answer: Message, limit: string): void {
  expect(answer.error).toMatchObject({
    code: limit === "max-request" ? -32600 : -32011,
    message: expect.any(String),
    data: { class: "LimitExceeded", limit },
  });
}

const works = async (client: Asker) => (await client.outcome("query-version")) === "done";

describe("one request", () => {
  it.each([
    ["max-request", { "max-request": 2000 }, "x".repeat(2001)],
    ["max-nesting", { "max-nesting": 10 }, `${"[".repeat(11)}${"]".repeat(11)}`],
    ["max-batch", { "max-batch": 3 }, JSON.stringify(Array(4).fill(request(1, "query-version")))],
  ])("over the limit %s is refused, and the next is answered", async (limit, limits, line) => {
    const connect = await start(limits);
    const client = await connect(ADMIN);
    client.write(`${line}\n`);
    expectLimit(await client.next(), limit);
    expect(await works(client)).toBe(true);
  });
});

describe("requests in flight", () => {
  it("over the limit are refused under their own ids and not executed, in order", async () => {
    const connect = await start({ "max-in-flight": 3 });
    const client = await connect(ADMIN);
    client.send(...Array.from({ length: 6 }, (_, id) => request(id, "create-ioas")));
    for (let id = 0; id < 6; id++) {
      const answer = await client.next();
      expect(answer.id).toBe(id);
      if (id < 3) expect(answer.result.ioas).toEqual(expect.any(Number));
      else expectLimit(answer, "max-in-flight");
    }
    expect(daemon.host.context("default").ioases.size).toBe(3);
    expect(await works(client)).toBe(true);
  });

  it("count with what is no request, and a notification over the limit is dropped like any that fails", async () => {
    const connect = await start({ "max-in-flight": 1 });
    const client = await connect(ADMIN);
    client.write(
      [
        JSON.stringify(request(1, "query-version")),
        '{"jsonrpc":"2.0","method":"create-ioas"}',
        "no JSON",
        `[${JSON.stringify(request(2, "create-ioas"))}]`,
        "\xff",
        `${JSON.stringify(request("last", "create-ioas"))}\n`,
      ].join("\n"),
    );
    expect((await client.next()).result.name).toBe("iovad");
    for (const id of [null, null, null, "last"]) {
      const answer = await client.next();
      expect(answer.id).toBe(id);
      expectLimit(answer, "max-in-flight");
    }
    expect(daemon.host.context("default").ioases.size).toBe(0);
    expect(await works(client)).toBe(true);
  });

  it("of one connection are no matter to another", async () => {
    const connect = await start({ "max-in-flight": 1 });
    const clients = [await connect(ADMIN), await connect(ADMIN)];
    for (const client of clients) client.send(request(1, "query-version"));
    for (const client of clients) expect((await client.next()).result.name).toBe("iovad");
  });

  it("are as many as a full read holds, by default", async () => {
    const connect = await start({});
    const client = await connect(ADMIN);
    const line = '{"jsonrpc":"2.0","id":1,"method":"x"}\n';
    client.write(line.repeat(5000));
    const codes: number[] = [];
    while (codes.length < 5000) codes.push((await client.next()).error.code);
    expect(codes).toEqual(Array(5000).fill(-32601));
  });
});

describe("connections", () => {
  it("that are for role control are given to nobody else", async () => {
    const connect = await start({ "max-connections": 32 });
    for (let n = 0; n < 30; n++) await connect(OBSERVER);
    expectLimit((await daemon.dial({ uid: OBSERVER })).first, "max-connections");
    const last = [await connect(ADMIN), await connect(0)];
    expectLimit((await daemon.dial({ uid: 0 })).first, "max-connections");
    expect(await Promise.all(last.map(works))).toEqual([true, true]);
  });

  it("over the limit are refused, and find room when one has ended", async () => {
    const connect = await start({ "max-connections": 2 });
    const [first, second] = [await connect(ADMIN), await connect(OBSERVER)];
    const { client, first: answer } = await daemon.dial({ uid: 0 });
    expectLimit(answer, "max-connections");
    expect(await client.rest()).toEqual([]);
    expect([await works(first), await works(second)]).toEqual([true, true]);
    first.socket.destroy();
    await gone(() => daemon.dial({ uid: 0 }));
  });

  it("of one uid over its limit are refused, and those of others are let in", async () => {
    const connect = await start({ "max-connections-per-uid": 2 });
    const own = [await connect(ADMIN), await connect(ADMIN)];
    for (let i = 0; i < 3; i++) {
      const { client, first } = await daemon.dial({ uid: ADMIN });
      expectLimit(first, "max-connections-per-uid");
      expect(await client.rest()).toEqual([]);
    }
    expect(await works(await connect(OBSERVER))).toBe(true);
    expect(await works(await connect(0))).toBe(true);
    expect([await works(own[0] as Asker), await works(own[1] as Asker)]).toEqual([true, true]);
    own[0]?.socket.destroy();
    await gone(() => daemon.dial({ uid: ADMIN }));
  });

  /** Dials until it is let in: that a connection has ended shows in nothing else to those outside. */
  async function gone(dial: () => Promise<{ first: Message }>): Promise<void> {
    while ((await dial()).first.method !== "greeting");
  }
});

describe("objects", () => {
  it("contexts have a limit, in all and per uid", async () => {
    const connect = await start({ "max-contexts": 4, "max-contexts-per-uid": 2 });
    const [one, two, root] = [await connect(ADMIN), await connect(OTHER_ADMIN), await connect(0)];
    await one.get("create-context", { context: "a" });
    await one.get("create-context", { context: "b" });
    expectLimit(await one.ask("create-context", { context: "c" }), "max-contexts-per-uid");
    await two.get("create-context", { context: "c" });
    expectLimit(await root.ask("create-context", { context: "d" }), "max-contexts");
    await one.get("destroy-context", { context: "a" });
    expect(await one.outcome("create-context", { context: "d" })).toBe("done");
  });

  it("are counted over all connections of a uid, and given back by a lease that ends", async () => {
    const connect = await start({ "max-contexts-per-uid": 1 });
    const [first, second] = [await connect(ADMIN), await connect(ADMIN)];
    await second.get("subscribe", { events: ["CONTEXT_DESTROYED"] });
    await first.get("create-context", { context: "a", lease: "connection" });
    expectLimit(await second.ask("create-context", { context: "b" }), "max-contexts-per-uid");
    first.socket.destroy();
    expect((await second.next()).method).toBe("CONTEXT_DESTROYED");
    expect(await second.outcome("create-context", { context: "b" })).toBe("done");
  });

  it("IOASes have a limit, per context and per uid", async () => {
    const connect = await start({ "max-ioases-per-context": 3, "max-ioases-per-uid": 2 });
    const [one, two] = [await connect(ADMIN), await connect(OTHER_ADMIN)];
    const { ioas } = await one.get("create-ioas");
    await one.get("create-context", { context: "own" });
    await one.get("create-ioas", { context: "own" });
    expectLimit(await one.ask("create-ioas"), "max-ioases-per-uid");
    expectLimit(await one.ask("create-ioas", { context: "own" }), "max-ioases-per-uid");
    await two.get("create-ioas");
    await two.get("create-ioas");
    expectLimit(await (await connect(0)).ask("create-ioas"), "max-ioases-per-context");
    await one.get("destroy-ioas", { ioas });
    expect(await one.outcome("create-ioas")).toBe("done");
    await one.get("destroy-context", { context: "own" });
    expect(await one.outcome("create-context", { context: "own" })).toBe("done");
    expect(await one.outcome("create-ioas", { context: "own" })).toBe("done");
  });

  it("held devices have a limit per uid", async () => {
    const connect = await start({ "max-held-devices-per-uid": 1 });
    const [one, two] = [await connect(ADMIN), await connect(OTHER_ADMIN)];
    await one.get("hold-device", { device: DEVICE });
    expectLimit(await one.ask("hold-device", { device: OTHER }), "max-held-devices-per-uid");
    expect(await two.outcome("hold-device", { device: OTHER })).toBe("done");
    expect(await one.outcome("release-device", { device: DEVICE })).toBe("done");
    expect(await one.outcome("hold-device", { device: DEVICE })).toBe("done");
  });

  it("devices that are being bound count as held", async () => {
    await start({ "max-held-devices-per-uid": 1 });
    const attempts = [DEVICE, OTHER, TWIN].map((device) => daemon.host.hold(device, "default", ADMIN));
    const results = await Promise.allSettled(attempts);
    expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
    expect(daemon.host.heldCount).toBe(1);
    await daemon.host.release(DEVICE);
    await daemon.host.hold(OTHER, "default", ADMIN);
  });

  it("a hold that fails does not count", async () => {
    const connect = await start({ "max-held-devices-per-uid": 1 });
    const client = await connect(ADMIN);
    expect(await client.outcome("hold-device", { device: "none" })).toBe("DeviceNotFound");
    expect(await client.outcome("hold-device", { device: DEVICE })).toBe("done");
  });
});

describe("subscriptions", () => {
  it("of one uid have a limit, a connection has one at a time, and others are let be", async () => {
    const connect = await start({ "max-subscriptions-per-uid": 2 });
    const clients = [await connect(OBSERVER), await connect(OBSERVER), await connect(OBSERVER)] as const;
    for (const client of [clients[0], clients[1], clients[0]]) await client.get("subscribe");
    const refused = await clients[2].ask("subscribe");
    expectLimit(refused, "max-subscriptions-per-uid");
    // This connection has none to end.
    expect(refused.error.message).toContain("close a connection that has one, or unsubscribe there");
    expect(await (await connect(ADMIN)).outcome("subscribe")).toBe("done");
    await clients[0].get("unsubscribe");
    expect(await clients[2].outcome("subscribe")).toBe("done");
  });
});
