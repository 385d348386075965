import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, describe, expect, it } from "vitest";
import { z } from "zod";
import { Host } from "../../src/host/host.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { DEFAULT_LIMITS, type Limits } from "../../src/limits.ts";
import type { Subscriber } from "../../src/rpc/connection.ts";
import type { DialectCall } from "../../src/rpc/dialect.ts";
import { jsonRpc } from "../../src/rpc/dialects/json-rpc.ts";
import { EventHub } from "../../src/rpc/event-hub.ts";
import { EVENTS } from "../../src/rpc/events.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { whole } from "../../src/rpc/text.ts";
import { bystander, dispatcherOf, ROOT } from "./stub.ts";

const NARROW = "0000:00:05.0";
const WIDE = "0000:00:06.0";
const MSI = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
const TOPOLOGY = {
  iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } }, { name: "dmar1" }],
  devices: [
    { device: NARROW, iommu: "dmar0", driver: "vfio-pci", regions: [MSI] },
    { device: WIDE, iommu: "dmar1", driver: "vfio-pci", regions: [MSI] },
  ],
};

// biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
type Message = any;

/** A connection without a socket: what it is sent is kept, until it is told to be full. */
class FakeConnection implements Subscriber {
  readonly messages: { method: string; params: Message }[] = [];
  isReady = true;
  readonly id: number;
  readonly peer = ROOT;
  readonly dialect = jsonRpc;
  #closed: (() => void)[] = [];
  #answered: (() => void)[] = [];
  #ready: (() => void)[] = [];

  constructor(id: number) {
    this.id = id;
  }

  deliver(lines: Buffer | string): void {
    this.messages.push(
      ...String(lines)
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line)),
    );
  }

  onClose(callback: () => void): () => void {
    this.#closed.push(callback);
    return () => {
      this.#closed = this.#closed.filter((each) => each !== callback);
    };
  }

  /** Callbacks that wait for the connection to close. */
  get waiting(): number {
    return this.#closed.length;
  }

  onceAnswered(callback: () => void): void {
    this.#answered.push(callback);
  }

  answered(): void {
    for (const callback of this.#answered.splice(0)) callback();
  }

  onceReady(callback: () => void): void {
    this.#ready.push(callback);
  }

  enclose() {
    return { isUnderWay: false };
  }

  drain(): void {
    this.isReady = true;
    for (const callback of this.#ready.splice(0)) callback();
  }

  close(): void {
    for (const callback of this.#closed.splice(0)) callback();
  }

  get names(): string[] {
    return this.messages.map(({ method }) => method);
  }
}

let stop: (() => Promise<void>) | undefined;
afterEach(() => stop?.());

function setUp(limits: Partial<Limits> = {}) {
  const all = { ...DEFAULT_LIMITS, ...limits };
  const events = new EventHub({ now: () => 1_700_000_000_123.456, limits: all });
  const host = new Host(new SimulatedKernel(parseTopology(TOPOLOGY)), {
    observer: (change) => events.publish(change),
  });
  stop = () => host.close();
  const rpc = dispatcherOf(METHODS, (error) => expect.unreachable(String(error)));
  let connections = 0;
  const connect = () => {
    const connection = new FakeConnection(++connections);
    const call: DialectCall = { ...bystander(), host, events, connection, limits: all };
    const ask = async (method: string, params: object = {}): Promise<Message> => {
      const line = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
      const answer = JSON.parse(whole((await rpc.answer(line, call, () => true)) ?? ""));
      // As a session does: first the events that the request has caused, then the answer.
      for (const lines of events.takeFor(connection)) connection.deliver(lines);
      connection.answered();
      // Others get theirs within a turn of the event loop.
      for (let turn = 0; turn < 2; turn++) await nextTurn();
      if (answer.error) throw Object.assign(new Error(answer.error.message), answer.error);
      return answer.result;
    };
    return { connection, ask };
  };
  return { connect, events };
}

/** The whole life of a device in an IOAS, from one connection. */
async function liveThrough(ask: ReturnType<ReturnType<typeof setUp>["connect"]>["ask"]) {
  await ask("create-context", { context: "guest" });
  const { ioas } = await ask("create-ioas", { context: "guest" });
  await ask("hold-device", { device: NARROW, context: "guest" });
  await ask("hold-device", { device: WIDE, context: "guest" });
  await ask("attach-device", { device: WIDE, ioas });
  await ask("attach-device", { device: NARROW, ioas });
  await ask("detach-device", { device: NARROW });
  await ask("destroy-context", { context: "guest" });
}

describe("a lease", () => {
  it("is forgotten by its connection when the context ends", async () => {
    const { connect } = setUp();
    const { connection, ask } = connect();
    for (let round = 0; round < 3; round++) {
      await ask("create-context", { context: "guest", lease: "connection" });
      expect(connection.waiting).toBe(1);
      await ask("destroy-context", { context: "guest" });
      expect(connection.waiting).toBe(0);
    }
  });
});

describe("a subscriber", () => {
  it("gets every event in order, numbered without a gap", async () => {
    const { connect } = setUp();
    const [watcher, actor] = [connect(), connect()];
    const { sequence } = await watcher.ask("subscribe");
    await liveThrough(actor.ask);
    expect(watcher.connection.names).toEqual([
      "CONTEXT_CREATED",
      "IOAS_CREATED",
      "DEVICE_HELD",
      "DEVICE_HELD",
      "DEVICE_ATTACHED",
      "ALLOWED_RANGES_CHANGED",
      "DEVICE_ATTACHED",
      "ALLOWED_RANGES_CHANGED",
      "DEVICE_DETACHED",
      "ALLOWED_RANGES_CHANGED",
      "DEVICE_RELEASED",
      "DEVICE_DETACHED",
      "DEVICE_RELEASED",
      "ALLOWED_RANGES_CHANGED",
      "IOAS_DESTROYED",
      "CONTEXT_DESTROYED",
    ]);
    const sequences = watcher.connection.messages.map(({ params }) => params.sequence);
    expect(sequences).toEqual(sequences.map((_, index) => sequence + index + 1));
  });

  it("gets events that keep their schemas, stamped with the wall clock", async () => {
    const { connect } = setUp();
    const { connection, ask } = connect();
    await ask("subscribe");
    await liveThrough(ask);
    for (const { method, params } of connection.messages) {
      const schema = EVENTS.find(({ name }) => name === method)?.params as z.ZodObject;
      expect(z.strictObject(schema.shape).safeParse(params).error).toBeUndefined();
      expect(params.timestamp).toEqual({ seconds: 1_700_000_000, microseconds: 123_456 });
    }
  });

  it("is told what was gained and lost, and by whom", async () => {
    const { connect } = setUp();
    const { connection, ask } = connect();
    await ask("subscribe", { events: ["ALLOWED_RANGES_CHANGED"] });
    await liveThrough(ask);
    const [first, second, third] = connection.messages.map(({ params }) => params);
    expect(first).toMatchObject({ lost: [{ start: "0xfee00000", last: "0xfeefffff" }], gained: [] });
    const beyond = [{ start: "0x8000000000", last: "0xffffffffffffffff" }];
    expect(second).toMatchObject({
      lost: beyond,
      gained: [],
      cause: { event: "DEVICE_ATTACHED", device: NARROW },
    });
    expect(third).toMatchObject({
      lost: [],
      gained: beyond,
      cause: { event: "DEVICE_DETACHED", device: NARROW },
    });
    expect(second.generation).toBe(first.generation + 1);
  });

  it("hears nothing of an attach that changes no range", async () => {
    const { connect } = setUp();
    const { connection, ask } = connect();
    const { ioas } = await ask("create-ioas");
    for (const device of [NARROW, WIDE]) await ask("hold-device", { device });
    await ask("attach-device", { device: NARROW, ioas });
    await ask("subscribe");
    await ask("attach-device", { device: WIDE, ioas });
    expect(connection.names).toEqual(["DEVICE_ATTACHED"]);
  });

  it("gets a snapshot with everything, and then what comes after it", async () => {
    const { connect, events } = setUp();
    const [watcher, actor] = [connect(), connect()];
    const { ioas } = await actor.ask("create-ioas");
    await actor.ask("hold-device", { device: WIDE });
    const snapshot = await watcher.ask("subscribe");
    expect(snapshot).toEqual({
      instance: events.instance,
      sequence: 2,
      resumed: false,
      ...(await actor.ask("query-devices")),
      ...(await actor.ask("query-contexts")),
      ...(await actor.ask("query-ioas")),
    });
    await actor.ask("attach-device", { device: WIDE, ioas });
    expect(watcher.connection.messages[0]).toMatchObject({
      method: "DEVICE_ATTACHED",
      params: { sequence: 3 },
    });
  });

  it("gets all events behind the one it knows, where they are remembered, and else a snapshot", async () => {
    const { connect, events } = setUp({ "event-history": 3 });
    const actor = connect();
    for (let n = 0; n < 5; n++) await actor.ask("create-ioas");
    expect((await actor.ask("query-events")).oldest).toBe(3);
    const { instance } = events;
    const behind = async (sequence: number, of = instance) => {
      const { connection, ask } = connect();
      const { resumed } = await ask("subscribe", { since: { instance: of, sequence } });
      return { resumed, got: connection.messages.map(({ params }) => params.sequence) };
    };
    expect(await behind(1)).toEqual({ resumed: false, got: [] });
    expect(await behind(2)).toEqual({ resumed: true, got: [3, 4, 5] });
    expect(await behind(4)).toEqual({ resumed: true, got: [5] });
    expect(await behind(5)).toEqual({ resumed: true, got: [] });
    // Of a life that was, or of one that is to come.
    expect(await behind(6)).toEqual({ resumed: false, got: [] });
    expect(await behind(4, "another")).toEqual({ resumed: false, got: [] });
  });

  it("begins again from where its last request says, in the middle of what it is being sent", async () => {
    const { connect, events } = setUp();
    const [watcher, actor] = [connect(), connect()];
    for (let n = 0; n < 3; n++) await actor.ask("create-ioas");
    const since = (sequence: number) => ({ since: { instance: events.instance, sequence } });
    watcher.connection.isReady = false;
    await watcher.ask("subscribe", since(0));
    expect(watcher.connection.messages).toEqual([]);
    await watcher.ask("subscribe", since(1));
    await actor.ask("create-ioas");
    watcher.connection.drain();
    for (let turn = 0; turn < 2; turn++) await nextTurn();
    // Nothing of what the first was still owed: each event once.
    expect(watcher.connection.messages.map(({ params }) => params.sequence)).toEqual([2, 3, 4]);
  });

  it("hears nothing after it has unsubscribed, or gone", async () => {
    const { connect } = setUp();
    const [watcher, leaver, actor] = [connect(), connect(), connect()];
    for (const each of [watcher, leaver]) await each.ask("subscribe");
    await watcher.ask("unsubscribe");
    expect(watcher.connection.waiting).toBe(0);
    leaver.connection.close();
    await actor.ask("create-ioas");
    expect(watcher.connection.names).toEqual([]);
    expect(leaver.connection.names).toEqual([]);
  });

  it("that names an event which does not exist is refused", async () => {
    const { connect } = setUp();
    await expect(connect().ask("subscribe", { events: ["DEVICE_EATEN"] })).rejects.toMatchObject({
      code: -32602,
    });
  });
});

describe("a subscriber that does not read", () => {
  it("is told how many events it missed, once it reads, and is whole after a new subscribe", async () => {
    const { connect } = setUp({ "max-queue": 250 });
    const [slow, actor] = [connect(), connect()];
    await slow.ask("subscribe");
    await actor.ask("create-ioas");
    slow.connection.isReady = false;
    for (let i = 0; i < 3; i++) await actor.ask("create-ioas");
    slow.connection.drain();
    await nextTurn();
    await actor.ask("create-ioas");
    expect(slow.connection.names).toEqual(["IOAS_CREATED", "EVENTS_LOST", "IOAS_CREATED"]);
    expect(slow.connection.messages[1]?.params).toMatchObject({ count: 3, sequence: 4 });
    const { ioas, sequence } = await slow.ask("subscribe");
    expect(ioas).toHaveLength(5);
    expect(sequence).toBe(5);
  });

  it("is told of those events alone that it has asked for, also where others are forgotten with them", async () => {
    const { connect, events } = setUp({ "event-history": 4 });
    const actor = connect();
    await actor.ask("create-context", { context: "a" });
    await actor.ask("create-ioas", { context: "a" });
    const { instance } = events;
    const subscriber = async (names: string[]) => {
      const each = connect();
      await each.ask("subscribe", { events: names, since: { instance, sequence: 0 } });
      each.connection.isReady = false;
      return each.connection;
    };
    const some = await subscriber(["IOAS_CREATED"]);
    const none = await subscriber(["DEVICE_HELD"]);
    await actor.ask("create-ioas", { context: "a" });
    for (const context of ["b", "c", "d", "e", "f"]) await actor.ask("create-context", { context });
    await actor.ask("create-ioas", { context: "a" });
    for (const connection of [some, none]) connection.drain();
    for (let turn = 0; turn < 2; turn++) await nextTurn();
    expect(some.messages.map(({ method, params }) => [method, params.count])).toEqual([
      ["IOAS_CREATED", undefined],
      ["EVENTS_LOST", 2],
    ]);
    expect(none.messages).toEqual([]);
    expect(events.lost).toBe(2);
  });

  it("gets what it is owed before an answer in pieces, however much that is", async () => {
    const { connect, events } = setUp();
    const { connection, ask } = connect();
    await ask("subscribe");
    connection.isReady = false;
    for (let i = 0; i < 3000; i++) events.publish({ event: "CONTEXT_HANDED_OVER", context: "c".repeat(64) });
    for (const lines of events.takeFor(connection)) {
      expect(lines.length).toBeLessThan(10_000);
      connection.deliver(lines);
    }
    const sequences = connection.messages.map(({ params }) => params.sequence);
    expect(sequences).toEqual(Array.from({ length: 3000 }, (_, index) => index + 1));
    expect([...events.takeFor(connection)]).toEqual([]);
  });

  it("is told also of what is forgotten while it is told of what was", async () => {
    const { connect, events } = setUp({ "event-history": 3 });
    const { connection, ask } = connect();
    await ask("subscribe");
    connection.isReady = false;
    const publishFive = () => {
      for (let i = 0; i < 5; i++) events.publish({ event: "CONTEXT_HANDED_OVER", context: "c" });
    };
    publishFive();
    let pieces = 0;
    for (const lines of events.takeFor(connection)) {
      connection.deliver(lines);
      // Others have their turn between two pieces.
      if (pieces++ === 0) publishFive();
    }
    for (let turn = 0; turn < 2; turn++) await nextTurn();
    connection.drain();
    for (let turn = 0; turn < 2; turn++) await nextTurn();
    expect(connection.messages.map(({ method, params }) => [method, params.count, params.sequence])).toEqual([
      ["EVENTS_LOST", 5, 5],
      ["EVENTS_LOST", 5, 10],
    ]);
  });

  it("delays nobody and loses nothing for others", async () => {
    const { connect } = setUp();
    const [slow, quick, actor] = [connect(), connect(), connect()];
    for (const each of [slow, quick]) await each.ask("subscribe");
    slow.connection.isReady = false;
    await liveThrough(actor.ask);
    expect(quick.connection.messages).toHaveLength(16);
    expect(slow.connection.messages).toHaveLength(0);
  });
});
