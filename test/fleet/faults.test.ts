import { once } from "node:events";
import { createServer } from "node:net";
import { jetstream } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { Fleet } from "../../src/fleet/fleet.ts";
import { type FleetChange, follow, snapshot } from "../../src/fleet/follow.ts";
import { NatsStore } from "../../src/fleet/stores/nats.ts";
import { watchBucket } from "../../src/fleet/stores/nats-watch.ts";
import { openStore } from "../../src/fleet/stores/open.ts";
import type { FleetStore } from "../../src/fleet/stores/store.ts";
import { profile, record } from "./hosts.ts";
import { HAS_NATS, NatsServer } from "./nats-server.ts";
import { published, startPublisher, until } from "./publishing.ts";

describe.skipIf(!HAS_NATS)("with NATS", () => {
  let server: NatsServer;
  const ends: (() => Promise<void>)[] = [];
  const options = () => ({ servers: [server.url], replicas: 1 });

  beforeAll(async () => {
    server = await NatsServer.start();
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
    // A test that failed may have left it dead.
    await server.start();
    await server.forget();
  });

  const publish = (host: string, interval = 0.1) =>
    startPublisher(ends, { host, interval, openStore: () => openStore(options()) });

  async function open(): Promise<FleetStore> {
    const store = await openStore(options());
    ends.push(() => store.close());
    return store;
  }

  /** What a reader is told, for as long as the test runs. */
  async function read() {
    const store = await open();
    const fleet = new Fleet();
    const changes: FleetChange[] = [];
    const end = new AbortController();
    const reading = (async () => {
      for await (const change of follow(store, fleet, Date.now, end.signal)) changes.push(change);
    })();
    ends.push(async () => {
      end.abort();
      await reading;
    });
    return { fleet, changes, heard: (kind: string) => changes.filter((each) => each.kind === kind).length };
  }

  it("a server that is killed and started again: both sides say so, and go on where they were", async () => {
    const publisher = publish("n1");
    const { said } = publisher;
    await published(publisher);
    const { fleet, heard, changes } = await read();
    await until(() => heard("settled") === 1);
    await server.kill();
    await until(() => heard("trouble") > 0 && said.length > 1);
    expect(fleet.names).toEqual(["n1"]);
    expect(fleet.troubles(Date.now()).length).toBeGreaterThan(0);
    await server.start();
    await until(() => heard("settled") > 1 && said.at(-1) === "all is well again");
    const { length } = changes;
    await until(() => changes.slice(length).some(({ kind }) => kind === "host"));
    await until(() => fleet.host("n1", Date.now())?.state === "fresh");
  });

  it("a server that refuses for a while: both sides go on when it does no more", async () => {
    const publisher = publish("n1");
    await published(publisher);
    const { fleet, heard } = await read();
    await until(() => heard("settled") === 1);
    await server.kill();
    let refused = 0;
    const refusing = createServer((socket) => {
      socket.on("error", () => {});
      socket.write('INFO {"server_id":"s","version":"2.9.10","headers":true,"max_payload":1048576}\r\n');
      socket.once("data", () => {
        refused++;
        socket.end("-ERR 'Authorization Violation'\r\n");
      });
    }).listen(server.port, "127.0.0.1");
    await until(() => refused >= 6);
    const closed = once(refusing, "close");
    refusing.close();
    await closed;
    await server.start();
    await until(() => heard("settled") > 1 && publisher.said.at(-1) === "all is well again");
    await until(() => fleet.host("n1", Date.now())?.state === "fresh");
  });

  it("a disk that is lost: every publisher makes good what is its own, profile included", async () => {
    // A beat apart, so that three of them are not soon over on a busy machine.
    const publishers = [publish("n1", 1), publish("n2", 1)];
    for (const each of publishers) await published(each);
    const { fleet, heard } = await read();
    await until(() => heard("settled") === 1);
    await server.kill();
    server.loseDisk();
    await server.start();
    // The other one may find all as it was: the first has made the buckets anew, and their common profile.
    await until(() => publishers.some(({ said }) => said.some((message) => message.includes("has lost"))));
    await until(() => heard("settled") > 1 && fleet.hosts(Date.now()).length === 2);
    await until(() => fleet.hosts(Date.now()).every(({ state }) => state === "fresh"));
    expect((await snapshot(await open(), Date.now)).hosts(Date.now()).map(({ state }) => state)).toEqual([
      "fresh",
      "fresh",
    ]);
  });

  it("a profile that hosts have in common is stored once, and not again with a heartbeat", async () => {
    const put = vi.spyOn(NatsStore.prototype, "publish");
    try {
      const publishers = ["n1", "n2"].map((host) => publish(host));
      // What the server had no time for is tried again, and was not stored.
      const stored = () =>
        put.mock.calls.filter((_, index) => put.mock.settledResults[index]?.type === "fulfilled");
      await until(() => stored().length > 6);
      const renewals = stored().flatMap(([{ host }, , renew]) => (renew ? [host] : []));
      expect(renewals.sort(), publishers.flatMap(({ said }) => said).join("\n")).toEqual(["n1", "n2"]);
    } finally {
      put.mockRestore();
    }
  });

  it("garbage in the buckets is named, and the others are read", async () => {
    const store = await open();
    await store.publish(record("good"), profile(), true);
    await store.publish(record("no-profile", { digest: profile("d2").digest }), profile(), false);
    await store.publish(record("newer", { version: 2 as 1 }), profile(), false);
    const narrow = { ...profile("d3"), allowed: [{ start: "0x0", last: "0xffff" }] };
    await store.publish(record("changed", { digest: narrow.digest }), narrow, true);
    const nonsense = { ...profile("d4"), allowed: 7 };
    await store.publish(record("nonsense", { digest: nonsense.digest }), nonsense, true);
    const hosts = (await snapshot(store, Date.now)).hosts(Date.now());
    expect(hosts.map(({ host, state, trouble = "" }) => `${host} ${state} ${trouble}`)).toEqual([
      expect.stringMatching(/^changed unreadable its digest is not that/),
      "good fresh ",
      expect.stringMatching(/^newer unreadable it is of version 2/),
      expect.stringMatching(/^no-profile unreadable its profile is not in the store/),
      expect.stringMatching(/^nonsense unreadable .*no list/),
    ]);
    // Whoever publishes it makes it good.
    await store.publish(record("changed", { digest: narrow.digest }), profile("d3"), true);
    expect((await snapshot(store, Date.now)).host("changed", Date.now())?.state).toBe("fresh");
  });

  it("a key that is no host's name is no host", async () => {
    const store = await open();
    await store.publish(record("good"), profile(), true);
    const connection = await connect({ servers: server.url });
    for (const key of ["__proto__", "\u001b[2J", "x".repeat(201), "a/../b"]) {
      connection.publish(`$KV.iovad-hosts.${key}`, "{}");
    }
    await connection.flush();
    await connection.close();
    expect((await snapshot(store, Date.now)).names).toEqual(["good"]);
  });

  it("what is purged, and what is put again, before a snapshot is told keep nobody waiting", async () => {
    const store = await open();
    for (const host of ["n1", "n2"]) await store.publish(record(host), profile(), true);
    const connection = await connect({ servers: server.url });
    const client = jetstream(connection);
    const manager = await client.jetstreamManager();
    const { consumers } = client;
    const make = consumers.getPushConsumer.bind(consumers);
    vi.spyOn(consumers, "getPushConsumer").mockImplementation(async (...args) => {
      await manager.streams.purge("KV_iovad-hosts", { filter: "$KV.iovad-hosts.n2" });
      const consumer = await make(...args);
      const consume = consumer.consume.bind(consumer);
      consumer.consume = async (options) => {
        for (let n = 0; n < 2; n++) await store.publish(record("n1"), profile(), false);
        return consume(options);
      };
      return consumer;
    });
    const told: string[] = [];
    for await (const change of watchBucket(
      client,
      "iovad-hosts",
      new AbortController().signal,
      () => () => {},
    )) {
      told.push(change.kind);
      if (change.kind === "settled") break;
    }
    expect(told).toEqual(["begin", "host", "settled"]);
    await connection.close();
  });

  it("a server that is not there, or has no JetStream, is said to be so", async () => {
    await server.kill();
    await expect(openStore(options())).rejects.toThrow(/no NATS server at nats:\/\/127\.0\.0\.1/);
    await server.start();
    await expect(snapshot(await open(), Date.now)).rejects.toThrow(/no host has published/);
  });

  it("a publisher that starts before its server publishes when that is there", async () => {
    await server.kill();
    const publisher = publish("n1");
    await until(() => publisher.said.some((message) => message.startsWith("no NATS server")));
    await server.start();
    await published(publisher);
    expect(publisher.said.at(-1)).toBe("all is well again");
  });
});
