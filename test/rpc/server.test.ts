import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Limits } from "../../src/limits.ts";
import { ADMIN, startDaemon } from "./peers.ts";
import { Client, latch, type Message, request, startServer } from "./stub.ts";

type Running = Awaited<ReturnType<typeof startServer>>;
const running: Running[] = [];

async function start(limits: Partial<Limits> = {}): Promise<Running> {
  const server = await startServer(limits);
  running.push(server);
  return server;
}

afterEach(async () => {
  vi.useRealTimers();
  vi.restoreAllMocks();
  for (const server of running.splice(0)) await server.stop();
});

describe("a connection", () => {
  it("is greeted with one notification", async () => {
    const { path } = await start();
    const client = new Client(path);
    expect(await client.next()).toEqual({
      jsonrpc: "2.0",
      method: "greeting",
      params: {
        service: "iovad",
        version: "1.2.3",
        protocol: 1,
        backend: "simulated",
        instance: expect.stringMatching(/^[0-9a-f-]{36}$/),
        sequence: 0,
      },
    });
    expect(await client.stillWorks()).toBe(true);
    client.socket.destroy();
  });

  it("gets its answers in the order of its requests, whatever they wait for", async () => {
    const { connect } = await start();
    const client = await connect();
    const methods = ["echo-later", "echo", "refuse-later", "foobar", "echo", "echo-later"];
    client.send(...methods.map((method, id) => request(id, method)));
    client.socket.end();
    expect((await client.rest()).map(({ id }) => id)).toEqual([0, 1, 2, 3, 4, 5]);
  });

  it("has its requests executed one after the other", async () => {
    const { connect, log, gate, entered } = await start();
    const client = await connect();
    client.send(request(1, "wait"), request(2, "count"));
    await entered.opened;
    expect(log).toEqual(["wait"]);
    gate.open();
    expect([(await client.next()).id, (await client.next()).id]).toEqual([1, 2]);
  });

  it("gets the answers before a slow request without waiting for it", async () => {
    const { connect } = await start();
    const client = await connect();
    client.send(request(1, "echo"), request(2, "wait"));
    expect((await client.next()).id).toBe(1);
  });

  it("does not wait for the slow request of another", async () => {
    const { connect, entered, gate } = await start();
    const [slow, quick] = [await connect(), await connect()];
    slow.send(request(1, "wait"));
    await entered.opened;
    expect(await quick.stillWorks()).toBe(true);
    gate.open();
    expect((await slow.next()).id).toBe(1);
  });

  it("gets its turn while another has thousands of requests in the queue", async () => {
    const { connect, log } = await start();
    const [busy, quick] = [await connect(), await connect()];
    busy.send(...Array.from({ length: 300 }, (_, id) => request(id, "spin")));
    await busy.next();
    expect(await quick.stillWorks()).toBe(true);
    expect(log.filter((name) => name === "spin").length).toBeLessThan(300);
  });

  it("takes many requests in one write and one request in many", async () => {
    const { connect } = await start();
    const client = await connect();
    const ids = Array.from({ length: 5000 }, (_, id) => id);
    client.send(...ids.map((id) => request(id, "echo", { value: id })));
    const values: unknown[] = [];
    while (values.length < ids.length) values.push((await client.next()).result.value);
    expect(values).toEqual(ids);
    for (const byte of Buffer.from(`${JSON.stringify(request("é", "echo"))}\r\n`))
      client.write(Buffer.of(byte));
    expect((await client.next()).id).toBe("é");
  });

  it("is understood whatever has come, and in which pieces, while a slow request kept it waiting", async () => {
    const { connect, entered, gate } = await start();
    const client = await connect();
    client.send(request(1, "wait"));
    await entered.opened;
    // More than is cut into lines at a time, and its end is in another piece.
    const value = "x".repeat(20_000);
    const bytes = Buffer.from(`${JSON.stringify(request(2, "echo", { value }))}\n`);
    const written = (piece: Buffer) => new Promise((resolve) => client.socket.write(piece, resolve));
    await written(bytes.subarray(0, 12_000));
    await (await connect()).stillWorks();
    await written(bytes.subarray(12_000));
    await (await connect()).stillWorks();
    gate.open();
    expect((await client.next()).id).toBe(1);
    expect(await client.next()).toMatchObject({ id: 2, result: { value } });
  });

  it("gets a notification before the answer of the request that caused it", async () => {
    const { connect } = await start();
    const client = await connect();
    client.send(request(1, "listen"), request(2, "tell"), request(3, "echo"));
    const seen = [await client.next(), await client.next(), await client.next(), await client.next()];
    expect(seen.map(({ id, method }) => id ?? method)).toEqual([1, "CONTEXT_DESTROYED", 2, 3]);
  });

  it("gets a notification while it waits for a slow answer", async () => {
    const { connect, entered, events } = await start();
    const client = await connect();
    client.send(request(1, "listen"), request(2, "wait"));
    expect((await client.next()).id).toBe(1);
    await entered.opened;
    events.publish({ event: "CONTEXT_DESTROYED", context: "told", cause: "request", uid: null });
    expect((await client.next()).method).toBe("CONTEXT_DESTROYED");
  });
});

describe("a broken line", () => {
  it.each([
    ["no JSON", "hello\n", -32700],
    ["half an object", '{"jsonrpc":\n', -32700],
    ["a NUL", "\0\n", -32700],
    ["invalid UTF-8", Buffer.from([0xff, 0xfe, 0x0a]), -32700],
    ["a byte order mark", '\ufeff{"jsonrpc":"2.0","id":1,"method":"echo"}\n', -32700],
    ["a hundred thousand levels", `${"[".repeat(100_000)}\n`, -32011],
    ["null in an array", "[null]\n", -32600],
    ["a huge batch", `[${"1,".repeat(50_000)}1]\n`, -32011],
  ])("(%s) is answered with one error, and the connection goes on", async (_what, bytes, code) => {
    const { connect } = await start();
    const client = await connect();
    client.write(bytes);
    const answer = await client.next();
    expect([answer].flat()[0]).toMatchObject({ jsonrpc: "2.0", id: null, error: { code } });
    expect(await client.stillWorks()).toBe(true);
  });

  it("over the limit is answered once with its class, and the connection goes on", async () => {
    const { connect } = await start({ "max-request": 1000 });
    const client = await connect();
    client.write("x".repeat(100_000));
    expect(await client.next()).toMatchObject({
      id: null,
      error: { code: -32600, data: { class: "LimitExceeded" } },
    });
    client.write("x".repeat(100_000));
    client.write("\n");
    expect(await client.stillWorks()).toBe(true);
  });

  it("made of random bytes never ends the connection", async () => {
    const { connect } = await start({ "max-request": 200 });
    const client = await connect();
    for (let round = 0; round < 50; round++) client.write(randomBytes(1000));
    client.send("", request("last", "echo"));
    for (let answer: Message = {}; answer.id !== "last"; ) {
      answer = await client.next();
      expect(answer).toMatchObject({ jsonrpc: "2.0" });
    }
    expect(await client.stillWorks()).toBe(true);
  });

  it("without its end is answered when the client half-closes", async () => {
    const { connect } = await start();
    const client = await connect();
    client.socket.end(JSON.stringify(request(1, "echo-later")));
    expect(await client.rest()).toEqual([{ jsonrpc: "2.0", id: 1, result: {} }]);
  });
});

describe("the end of a connection", () => {
  it("comes after every answer when the client half-closes", async () => {
    const { connect, entered, gate } = await start();
    const client = await connect();
    client.send(request(1, "wait"), request(2, "echo"), request(3, "echo-later"));
    client.socket.end();
    await entered.opened;
    gate.open();
    expect((await client.rest()).map(({ id }) => id)).toEqual([1, 2, 3]);
  });

  it("is told once to who asked, after the request under way has settled", async () => {
    const { connect, connections, entered, gate } = await start();
    const client = await connect();
    client.send(request(1, "watch"), request(2, "wait"));
    await entered.opened;
    const told: string[] = [];
    const over = latch();
    connections[0]?.onClose(() => told.push("first"));
    connections[0]?.onClose(() => {
      throw new Error("a callback that fails keeps no other from its turn");
    });
    connections[0]?.onClose(over.open);
    client.socket.destroy();
    const other = await connect();
    expect(await other.stillWorks()).toBe(true);
    expect(told).toEqual([]);
    gate.open();
    await over.opened;
    expect(told).toEqual(["first"]);
    connections[0]?.onClose(() => told.push("late"));
    expect(told).toEqual(["first", "late"]);
  });

  it("by a reset, at any stage, leaves the others alone", async () => {
    const { connect, path } = await start();
    const witness = await connect();
    for (const stage of [
      () => {},
      (client: Client) => client.write('{"half'),
      (client: Client) => client.send(request(1, "big"), request(2, "echo-later"), request(3, "big")),
      (client: Client) => client.send(request(1, "wait"), request(2, "echo")),
      (client: Client) => client.socket.end(),
    ]) {
      const client = new Client(path);
      stage(client);
      // The greeting is still unread, so that the server sees ECONNRESET and not an end.
      client.socket.destroy();
      expect(await witness.stillWorks()).toBe(true);
    }
  });
});

describe("a client that does not read", () => {
  it("stops only itself, and gets every answer once it reads", async () => {
    const { connect, log } = await start();
    const [lazy, other] = [await connect(), await connect()];
    lazy.socket.pause();
    lazy.send(...Array.from({ length: 200 }, (_, id) => request(id, "big")));
    lazy.socket.end();
    for (let round = 0; round < 20; round++) expect(await other.stillWorks()).toBe(true);
    expect(log.filter((name) => name === "big").length).toBeLessThan(200);
    lazy.socket.resume();
    expect((await lazy.rest()).map(({ id }) => id)).toEqual(Array.from({ length: 200 }, (_, id) => id));
  });

  it("is not cut off for one answer that is larger than the limit", async () => {
    const { connect } = await start({ "max-queue": 4096 });
    const client = await connect();
    client.send(request(1, "big"), request(2, "big"));
    expect([(await client.next()).id, (await client.next()).id]).toEqual([1, 2]);
  });
});

describe("a connection over the limit", () => {
  it("gets one line that says so, and the others go on", async () => {
    const { connect, path } = await start({ "max-connections": 2 });
    const [first, second] = [await connect(), await connect()];
    const third = new Client(path);
    expect(await third.rest()).toEqual([
      {
        jsonrpc: "2.0",
        id: null,
        error: {
          code: -32011,
          message: expect.any(String),
          data: { class: "LimitExceeded", limit: "max-connections" },
        },
      },
    ]);
    expect([await first.stillWorks(), await second.stillWorks()]).toEqual([true, true]);
  });

  it("finds room once another has ended", async () => {
    const { connect, connections } = await start({ "max-connections": 1 });
    const first = await connect();
    first.send(request(1, "watch"));
    await first.next();
    const over = latch();
    connections[0]?.onClose(over.open);
    first.socket.end();
    await over.opened;
    await first.ended;
    expect(await (await connect()).stillWorks()).toBe(true);
  });
});

const HOUR = 3_600_000;

/** For whoever looks at the clock, and for whom time is up. */
function closeAndLetAnHourPass({ server }: Running): { closed: Promise<void> } {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  const closed = server.close();
  const [seconds, nanoseconds] = process.hrtime();
  vi.spyOn(process, "hrtime").mockReturnValue([seconds + HOUR / 1000, nanoseconds]);
  vi.advanceTimersByTime(HOUR);
  vi.useRealTimers();
  return { closed };
}

it("the uptime of query-status does not follow the wall clock", async () => {
  const daemon = await startDaemon();
  const client = await daemon.connect(ADMIN);
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 24 * HOUR });
  expect((await client.get("query-status"))["uptime-seconds"]).toBeLessThan(HOUR / 1000);
  await daemon.stop();
});

describe("close", () => {
  let server: Running;
  beforeEach(async () => {
    server = await startServer({}, undefined, { closing: 200 });
  });
  afterEach(() => server.stop());

  it("finishes the request under way and sends its answer", async () => {
    const client = await server.connect();
    client.send(request(1, "wait"));
    await server.entered.opened;
    const closed = server.server.close();
    server.gate.open();
    expect(await client.rest()).toEqual([{ jsonrpc: "2.0", id: 1, result: { waited: true } }]);
    await closed;
  });

  it("finishes the batch under way, and those that have come with it", async () => {
    const client = await server.connect();
    client.send([request(1, "wait"), request(2, "echo")], [request(3, "echo"), request(4, "echo")]);
    await server.entered.opened;
    const closed = server.server.close();
    server.gate.open();
    const answers = await client.rest();
    expect(answers.map((batch) => batch.map(({ id }: Message) => id))).toEqual([
      [1, 2],
      [3, 4],
    ]);
    await closed;
  });

  it("waits for a request under way however long it takes", async () => {
    const patient = await start();
    const client = await patient.connect();
    client.send(request(1, "wait"));
    await patient.entered.opened;
    const { closed } = closeAndLetAnHourPass(patient);
    patient.gate.open();
    expect(await client.rest()).toEqual([{ jsonrpc: "2.0", id: 1, result: { waited: true } }]);
    await closed;
  });

  it("answers what has begun of a batch that takes long, and starts no more of it", async () => {
    const patient = await start();
    const client = await patient.connect();
    client.send([request(1, "wait"), request(2, "echo")]);
    await patient.entered.opened;
    const { closed } = closeAndLetAnHourPass(patient);
    patient.gate.open();
    expect(await client.rest()).toEqual([[{ jsonrpc: "2.0", id: 1, result: { waited: true } }]]);
    await closed;
    expect(patient.log).toEqual(["wait"]);
  });

  it("answers what has come with it, and takes nothing that comes later", async () => {
    const client = await server.connect();
    client.send(request(1, "wait"), request(2, "echo"));
    await server.entered.opened;
    const closed = server.server.close();
    client.send(request(3, "echo"));
    server.gate.open();
    expect((await client.rest()).map(({ id }) => id)).toEqual([1, 2]);
    await closed;
    expect(server.log).toEqual(["wait", "echo"]);
  });

  it("starts no request whose line is ended, by the client's end, while it does what is last", async () => {
    const [client, witness] = [await server.connect(), await server.connect()];
    client.write(JSON.stringify(request(1, "count")));
    // The witness is served after what has come before.
    expect(await witness.stillWorks()).toBe(true);
    await server.server.close(async () => {
      client.socket.end();
      await client.ended;
    });
    expect(server.log).toEqual(["echo"]);
  });

  it("starts no request that waits behind one that takes long", async () => {
    const patient = await start();
    const client = await patient.connect();
    client.send(request(1, "wait"), request(2, "echo"));
    await patient.entered.opened;
    const { closed } = closeAndLetAnHourPass(patient);
    patient.gate.open();
    expect((await client.rest()).map(({ id }) => id)).toEqual([1]);
    await closed;
    expect(patient.log).toEqual(["wait"]);
  });

  it("ends idle connections and accepts no more", async () => {
    const client = await server.connect();
    await server.server.close();
    expect(await client.rest()).toEqual([]);
    const late = new Client(server.path);
    const [error] = await once(late.socket, "error");
    expect(error.code).toBe("ENOENT");
  });

  it("tells subscribers of what is done last, and then ends them", async () => {
    const client = await server.connect();
    client.send(request(1, "listen"));
    expect((await client.next()).id).toBe(1);
    await server.server.close(async () => {
      for (const context of ["first", "second"])
        server.events.publish({ event: "CONTEXT_DESTROYED", context, cause: "shutdown", uid: null });
    });
    expect((await client.rest()).map(({ params }) => params.context)).toEqual(["first", "second"]);
  });

  it("does not wait for ever for a client that does not read", async () => {
    const client = await server.connect();
    client.socket.pause();
    client.send(...Array.from({ length: 50 }, (_, id) => request(id, "big")));
    client.send(request("last", "echo"));
    const other = await server.connect();
    expect(await other.stillWorks()).toBe(true);
    await server.server.close();
    expect(server.log).not.toContain("last");
  });
});
