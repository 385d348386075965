import { closeSync, mkdtempSync, openSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { z } from "zod";
import type { Passage } from "../../src/host/devices/handed-over-devices.ts";
import { loadLibrary } from "../../src/libc/library.ts";
import type { Subscriber } from "../../src/rpc/connection.ts";
import { EventHub } from "../../src/rpc/event-hub.ts";
import { defineMethod, type Method } from "../../src/rpc/method.ts";
import { RpcServer } from "../../src/rpc/server.ts";
import * as courier from "../../src/unix/send-descriptors.ts";
import { BlockingSocket } from "../unix/blocking-socket.ts";
import { Receiver } from "../unix/receiver.ts";
import { Client, latch, NO_HOST, request } from "./stub.ts";

/** Stands for a device. */
const FILE = "/dev/zero";
const RECEIVED = { target: FILE, closesOnExec: true };

let directory: string;
let path: string;
let server: RpcServer;
let passages: Passage[];
let connections: Subscriber[];
let gate: ReturnType<typeof latch>;
const receivers: Receiver[] = [];

function method(name: string, handler: Method["handler"]): Method {
  const params = z.strictObject({ count: z.int().default(1) });
  return defineMethod({
    name,
    role: "observe",
    summary: "A stub.",
    params: () => params,
    result: () => z.any(),
    errors: [],
    handler,
  });
}

/** Opens as many files as asked for and encloses each in a parcel of its own. */
function enclose(count: number, connection: Subscriber): object {
  for (let i = 0; i < count; i++) {
    const fd = openSync(FILE, "r");
    passages.push(connection.enclose({ fds: [fd], close: () => closeSync(fd) }));
  }
  return { enclosed: count };
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "iovad-rpc-"));
  path = join(directory, "s");
  passages = [];
  connections = [];
  gate = latch();
  server = new RpcServer({
    access: { peerOf: () => ({ uid: 0, gid: 0, pid: 1, groups: [] }), roleOf: () => "control" },
    methods: [
      method("enclose", (params, { connection }) => enclose(params.count as number, connection)),
      method("enclose-later", async (params, { connection }) => {
        await nextTurn();
        return enclose(params.count as number, connection);
      }),
      method("enclose-at-gate", async (params, { connection }) => {
        await gate.opened;
        return enclose(params.count as number, connection);
      }),
      method("enclose-and-fail", (params, { connection }) => {
        enclose(params.count as number, connection);
        throw new Error("after all");
      }),
      method("listen", (_params, { events, connection }) => {
        events.subscribe(connection, undefined);
        return {};
      }),
      method("tell-and-enclose", (params, { events, connection }) => {
        for (let i = 0; i < (params.count as number); i++)
          events.publish({ event: "CONTEXT_DESTROYED", context: "told", cause: "request", uid: null });
        return enclose(1, connection);
      }),
      method("watch", (_params, { connection }) => ({ watching: connections.push(connection) })),
      method("big", () => ({ text: "x".repeat(300_000) })),
    ],
    host: NO_HOST,
    events: new EventHub(),
    backend: "simulated",
    version: "1.2.3",
    log: pino({ level: "silent" }),
    closing: 500,
    courier,
  });
  await server.listen(path);
});
afterEach(async () => {
  await Promise.all(receivers.splice(0).map((receiver) => receiver.kill()));
  await server.close();
  rmSync(directory, { recursive: true });
});

/** Another process, which sends messages and after a delay takes what comes back; its greeting is read. */
async function receiver(delay: number, ...messages: unknown[]): Promise<Receiver> {
  // The kernel may give what comes before descriptors along with them, so they are not asked for before the greeting.
  const whenToSend = delay === 0 ? "reply" : "send";
  const reader = new Receiver(path, { [whenToSend]: lines(...messages), delay });
  receivers.push(reader);
  expect(JSON.parse((await reader.next())?.text ?? "")).toMatchObject({ method: "greeting" });
  return reader;
}

const lines = (...messages: unknown[]) => messages.map((message) => `${JSON.stringify(message)}\n`).join("");

/** How many of the files this process has open. */
function openFiles(): number {
  return readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === FILE;
    } catch {
      return false;
    }
  }).length;
}

const answer = (id: unknown, result: object) => JSON.stringify({ jsonrpc: "2.0", id, result });

describe("descriptors that a handler encloses", () => {
  it.each(["enclose", "enclose-later"])("come with the answer, and are closed here: %s", async (name) => {
    const reader = await receiver(0, request(1, name, { count: 2 }));
    expect(await reader.next()).toEqual({
      text: answer(1, { enclosed: 2 }),
      fds: [RECEIVED, RECEIVED],
    });
    expect(openFiles()).toBe(0);
    expect(passages.map(({ isUnderWay }) => isUnderWay)).toEqual([false, false]);
  });

  it("are on their way until they are read, also when the client has sent all that it will", async () => {
    const before = new Set(readdirSync("/proc/self/fd"));
    const client = BlockingSocket.connect(path);
    const fd = readdirSync("/proc/self/fd").find((each) => !before.has(each));
    client.send(lines(request(1, "enclose")));
    loadLibrary()("int shutdown(int fd, int how)")(Number(fd), 1);
    while (passages.length === 0) await nextTurn();
    for (let turn = 0; turn < 20; turn++) await nextTurn();
    expect(passages[0]?.isUnderWay).toBe(true);
    while (client.receive().fds.map((each) => closeSync(each)).length === 0);
    while (passages[0]?.isUnderWay) await nextTurn();
    client.close();
  });

  it("come with their own answer when answers before and after have none", async () => {
    const reader = await receiver(200, request(1, "big"), request(2, "enclose"), request(3, "watch"));
    const answers = [await reader.next(), await reader.next(), await reader.next()];
    expect(answers.map((line) => JSON.parse(line?.text ?? "").id)).toEqual([1, 2, 3]);
    expect(answers[2]?.fds).toEqual([]);
    expect(answers.flatMap((line) => line?.fds)).toEqual([RECEIVED]);
  });

  it.each([1, 2_000])("come behind the %s events that the request has caused", async (count) => {
    const reader = await receiver(0, request(1, "listen"), request(2, "tell-and-enclose", { count }));
    const got: string[] = [];
    let fds: unknown[] = [];
    while (got.at(-1) !== "2") {
      const line = await reader.next();
      const { id, method } = JSON.parse(line?.text ?? "");
      got.push(method ?? String(id));
      fds = [...fds, ...(line?.fds ?? [])];
    }
    expect(got).toEqual(["1", ...Array<string>(count).fill("CONTEXT_DESTROYED"), "2"]);
    expect(fds).toEqual([RECEIVED]);
  });

  it("come all with the answer to a batch, in order", async () => {
    const reader = await receiver(0, [request(1, "enclose"), request(2, "enclose", { count: 2 })]);
    expect(await reader.next()).toEqual({
      text: `[${answer(1, { enclosed: 1 })},${answer(2, { enclosed: 2 })}]`,
      fds: [RECEIVED, RECEIVED, RECEIVED],
    });
  });

  it("come also when the handler fails afterwards, with the error", async () => {
    const reader = await receiver(0, request(1, "enclose-and-fail"));
    const line = await reader.next();
    expect(JSON.parse(line?.text ?? "").error.code).toBe(-32603);
    expect(openFiles()).toBe(0);
  });

  it("are closed and not sent for a notification, which has no answer", async () => {
    const reader = await receiver(0, { jsonrpc: "2.0", method: "enclose" }, request(2, "watch"));
    expect(await reader.next()).toEqual({ text: answer(2, { watching: 1 }), fds: [] });
    expect(openFiles()).toBe(0);
    expect(passages[0]?.isUnderWay).toBe(false);
  });

  it("cost a client that does not know of them nothing but the closing", async () => {
    const client = new Client(path);
    await client.next();
    client.send(request(1, "enclose", { count: 3 }), request(2, "watch"));
    expect(await client.next()).toEqual({ jsonrpc: "2.0", id: 1, result: { enclosed: 3 } });
    expect((await client.next()).id).toBe(2);
    expect(openFiles()).toBe(0);
    expect(passages.some(({ isUnderWay }) => isUnderWay)).toBe(false);
    client.socket.destroy();
  });

  it("are on their way until the answer is read", async () => {
    const client = BlockingSocket.connect(path);
    client.send(lines(request(1, "enclose")));
    while (passages.length === 0 || openFiles() > 0) await nextTurn();
    expect(passages[0]?.isUnderWay).toBe(true);
    const { fds } = client.receive();
    expect(fds).toHaveLength(1);
    expect(passages[0]?.isUnderWay).toBe(false);
    for (const fd of fds) closeSync(fd);
    client.close();
  });

  it("are not on their way any more when the client has gone without reading", async () => {
    const client = BlockingSocket.connect(path);
    client.send(lines(request(1, "enclose")));
    while (passages.length === 0 || openFiles() > 0) await nextTurn();
    client.close();
    while (passages[0]?.isUnderWay) await nextTurn();
    expect(openFiles()).toBe(0);
  });

  const told = (method: string, text = "") =>
    Buffer.from(`${JSON.stringify({ method, params: { text } })}\n`);

  /** Has descriptors enclosed while the client has left unread what was sent before. */
  async function encloseBehindUnread(): Promise<void> {
    while (connections.length === 0) await nextTurn();
    connections[0]?.deliver(told("TOLD", "x".repeat(600_000)));
    gate.open();
    while (passages.length === 0) await nextTurn();
  }

  it("wait for a client that reads slowly, and notifications do not wait with them", async () => {
    const messages = [request(1, "watch"), request(2, "enclose-at-gate"), request(3, "watch")];
    const reader = await receiver(300, ...messages);
    await encloseBehindUnread();
    connections[0]?.deliver(told("TOLD-MEANWHILE"));
    const got = [];
    for (let line = await reader.next(); line; line = await reader.next()) {
      got.push(line);
      if (JSON.parse(line.text).id === 3) break;
    }
    const names = got.map(({ text }) => JSON.parse(text)).map(({ id, method }) => id ?? method);
    expect(names).toEqual([1, "TOLD", "TOLD-MEANWHILE", 2, 3]);
    expect(got.flatMap(({ fds }) => fds)).toEqual([RECEIVED]);
    expect(got.at(-1)?.fds).toEqual([]);
  });

  it("are closed when the client goes away before they could be sent", async () => {
    const client = BlockingSocket.connect(path);
    client.send(lines(request(1, "watch"), request(2, "enclose-at-gate")));
    await encloseBehindUnread();
    expect(openFiles()).toBe(1);
    expect(passages[0]?.isUnderWay).toBe(true);
    client.close();
    while (openFiles() > 0) await nextTurn();
    expect(passages[0]?.isUnderWay).toBe(false);
  });

  it("come also when the daemon closes meanwhile", async () => {
    const reader = await receiver(0, request(1, "watch"), request(2, "enclose-at-gate"));
    expect(JSON.parse((await reader.next())?.text ?? "")).toMatchObject({ id: 1 });
    const closed = server.close();
    gate.open();
    const answer = await reader.next();
    expect(JSON.parse(answer?.text ?? "")).toMatchObject({ id: 2, result: { enclosed: 1 } });
    expect(answer?.fds).toEqual([RECEIVED]);
    await closed;
    expect(openFiles()).toBe(0);
  });

  it("do not keep the daemon from closing when the client does not read", async () => {
    const client = BlockingSocket.connect(path);
    client.send(lines(request(1, "watch"), request(2, "enclose-at-gate")));
    await encloseBehindUnread();
    await server.close();
    expect(openFiles()).toBe(0);
    client.close();
  });
});
