import { closeSync, fstatSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { dirname, join as pathOf } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ConnectionError, type ConnectOptions, connect, DaemonError } from "../../src/client/index.ts";
import { FakeServer, GREETING, type Peer } from "./fake-server.ts";

let server: FakeServer;
beforeEach(async () => {
  server = await FakeServer.start();
});
afterEach(() => server.stop());

const NULL = "/dev/null";
const openFiles = () =>
  readdirSync("/proc/self/fd").filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === NULL;
    } catch {
      return false;
    }
  }).length;

/** Both transports are one to who uses them. */
describe.each([
  ["Node's sockets", false],
  ["a socket that is given descriptors", true],
])("a connection by %s", (_what, descriptors) => {
  const dial = (options: ConnectOptions = {}) => connect({ socket: server.path, descriptors, ...options });
  /** A client that is let in. */
  async function join(options: ConnectOptions = {}) {
    const connecting = dial(options);
    const peer = await server.greeted();
    return { client: await connecting, peer };
  }
  /** What a client that is not let in is told, after the server has done this to it. */
  async function refusal(misbehave: (peer: Peer) => void, options: ConnectOptions = {}) {
    const failed = dial(options).catch((error: unknown) => error);
    misbehave(await server.peer());
    return (await failed) as ConnectionError | DaemonError;
  }

  it("has the greeting", async () => {
    const { client } = await join();
    expect(client.greeting).toEqual(GREETING);
    client.destroy();
  });

  it("sends requests as they are made, and hands out answers whatever pieces they come in", async () => {
    const { client, peer } = await join();
    const answers = [client.call("query-version"), client.call("query-ioas", { context: "é" })];
    expect(await peer.next()).toEqual({ jsonrpc: "2.0", id: 1, method: "query-version" });
    expect(await peer.next()).toMatchObject({ id: 2, method: "query-ioas", params: { context: "é" } });
    const line = Buffer.from(
      `${JSON.stringify({ jsonrpc: "2.0", id: 1, result: { name: "ü" } })}\r\n${JSON.stringify({ jsonrpc: "2.0", id: 2, result: { ioas: [] } })}\n`,
    );
    for (const byte of line) {
      peer.write(Buffer.of(byte));
      await nextTurn();
    }
    expect(await Promise.all(answers)).toEqual([{ name: "ü" }, { ioas: [] }]);
    client.destroy();
  });

  it("takes answers that are larger than any buffer, and sends requests that are", async () => {
    const { client, peer } = await join();
    const text = "x".repeat(3_000_000);
    const answer = client.request("echo", { text });
    const request = await peer.next();
    peer.send({ id: request?.id, result: request?.params });
    expect(await answer).toEqual({ text });
    client.destroy();
  });

  it("rejects with what the daemon refuses with: code, class, data, message", async () => {
    const { client, peer } = await join();
    const failed = client.call("query-devices").catch((error: unknown) => error);
    const data = { class: "DeviceBusy", errno: "EBUSY" };
    peer.send({ id: (await peer.next())?.id, error: { code: -32002, message: "taken", data } });
    const error = (await failed) as DaemonError;
    expect(error).toBeInstanceOf(DaemonError);
    expect(error).toMatchObject({ code: -32002, class: "DeviceBusy", data, message: "taken" });
    client.destroy();
  });

  it("does not take the last word of a daemon that hangs up for a refusal of what is under way", async () => {
    const { client, peer } = await join();
    const calls = [client.request("first"), client.request("second")];
    await peer.next();
    await peer.next();
    const data = { class: "LimitExceeded" };
    peer.send({ id: null, error: { code: -32011, message: "you hold too much", data } });
    peer.socket.end();
    const message = expect.stringContaining("you hold too much");
    for (const call of calls) {
      await expect(call).rejects.toMatchObject({ name: "ConnectionError", code: "CLOSED", message });
    }
    expect(await client.closed).toMatchObject({ message });
  });

  it("sends nothing for params that are no JSON", async () => {
    const { client, peer } = await join();
    await expect(client.request("echo", { value: 1n })).rejects.toThrow(TypeError);
    const answer = client.request("echo");
    expect(await peer.answer("echo", {})).toMatchObject({ method: "echo" });
    expect(await answer).toEqual({});
    client.destroy();
  });

  it.each([
    ["a line that is no JSON", "220 ready\n", "NOT_IOVAD"],
    ["another protocol's greeting", '{"QMP":{}}\n', "NOT_IOVAD"],
    [
      "another service",
      '{"jsonrpc":"2.0","method":"greeting","params":{"service":"other","protocol":1}}\n',
      "NOT_IOVAD",
    ],
    ["a greeting without params", '{"jsonrpc":"2.0","method":"greeting"}\n', "NOT_IOVAD"],
    ["an answer to nothing", '{"jsonrpc":"2.0","id":1,"result":{}}\n', "NOT_IOVAD"],
    ["bytes that are no text", Buffer.from([0xff, 0xfe, 0x0a]), "NOT_IOVAD"],
    [
      "another version of the protocol",
      '{"jsonrpc":"2.0","method":"greeting","params":{"service":"iovad","protocol":2}}\n',
      "PROTOCOL",
    ],
    ["a line without end", "x".repeat(2000), "TOO_LONG"],
  ])("does not come about with %s", async (_name, bytes, code) => {
    const error = await refusal((peer) => peer.write(bytes), { maxLine: 1000 });
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.code).toBe(code);
    expect(error.message).toContain(server.path);
  });

  it("says what the daemon says to whom it does not let in", async () => {
    const data = { class: "PermissionDenied" };
    const error = await refusal((peer) => {
      peer.send({ id: null, error: { code: -32010, message: "uid 7 has no role here", data } });
      peer.socket.end();
    });
    expect(error).toBeInstanceOf(DaemonError);
    expect(error).toMatchObject({ class: "PermissionDenied", message: "uid 7 has no role here" });
  });

  it("does not come about with a server that hangs up, or says nothing", async () => {
    expect(await refusal((peer) => peer.socket.end())).toMatchObject({ code: "CLOSED" });
    expect(await refusal((peer) => peer.socket.destroy())).toMatchObject({ code: "CLOSED" });
    expect(await refusal(() => {}, { patience: 20 })).toMatchObject({ code: "SILENT" });
  });

  it("takes no greeting of megabytes, and answers that are as long", async () => {
    const long = {
      jsonrpc: "2.0",
      method: "greeting",
      params: { ...GREETING, version: "x".repeat(100_000) },
    };
    const refused = await refusal((peer) => peer.write(`${JSON.stringify(long)}\n`));
    expect(refused).toMatchObject({ code: "TOO_LONG", message: expect.stringContaining("65536 bytes") });
    const { client, peer } = await join();
    const asked = client.request("long");
    await peer.answer("long", { text: "x".repeat(100_000) });
    expect(await asked).toEqual({ text: "x".repeat(100_000) });
    client.destroy();
  });

  it("says what is wrong with a path, and what to do", async () => {
    const missing = await dial({ socket: `${server.path}.missing` }).catch((error: Error) => error);
    expect(missing).toMatchObject({ name: "ConnectionError", code: "ENOENT" });
    expect(String(missing)).toContain("start iovad");
    expect(await dial({ socket: "/x".repeat(60) }).catch((error: Error) => error)).toMatchObject({
      code: "ENAMETOOLONG",
    });
    expect(await dial({ socket: "/dev/null" }).catch((error: Error) => error)).toMatchObject({
      code: "ECONNREFUSED",
    });
  });

  it.each([
    ["a line that is no JSON", "hello\n"],
    ["JSON that is no message", "7\n"],
    ["a batch that nobody has asked for", "[]\n"],
    ["an answer to no request", '{"jsonrpc":"2.0","id":77,"result":{}}\n'],
    ["a request", '{"jsonrpc":"2.0","id":1,"method":"run","params":{}}\n'],
    ["an error that is none", '{"jsonrpc":"2.0","id":1,"error":"no"}\n'],
  ])("ends at %s, with one error for everybody", async (_name, line) => {
    const { client, peer } = await join();
    const calls = [client.call("query-version"), client.call("query-status")];
    await peer.next();
    peer.write(line);
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: "GARBAGE" });
    expect(await client.closed).toMatchObject({ code: "GARBAGE" });
    await expect(client.call("query-version")).rejects.toMatchObject({ code: "GARBAGE" });
    expect(await peer.next()).toMatchObject({ id: 2 });
    expect(await peer.next()).toBeUndefined();
  });

  it("rejects what waits when the daemon goes away, with the daemon's last word", async () => {
    const { client, peer } = await join();
    const call = client.call("query-version");
    await peer.next();
    peer.socket.destroy();
    await expect(call).rejects.toMatchObject({ name: "ConnectionError", code: "CLOSED" });

    const other = await join();
    other.peer.send({ id: null, error: { code: -32011, message: "you hold too much" } });
    other.peer.socket.end();
    expect((await other.client.closed)?.message).toContain("you hold too much");
  });

  it("has no events any more, and says why", async () => {
    const { client, peer } = await join();
    peer.socket.destroy();
    const reason = await client.closed;
    await expect(client.events().next()).rejects.toBe(reason);
  });

  it("closes when everything that was asked has been answered", async () => {
    const { client, peer } = await join();
    const call = client.call("query-version");
    const closing = client.close();
    const request = await peer.next();
    expect(await peer.next()).toBeUndefined();
    peer.send({ id: request?.id, result: { name: "iovad" } });
    peer.socket.end();
    expect(await call).toEqual({ name: "iovad" });
    await closing;
    expect(await client.closed).toBeUndefined();
    await expect(client.call("query-version")).rejects.toMatchObject({ code: "CLOSED" });
    await client.close();
  });

  it("closes also when a daemon that has answered everything does not end", async () => {
    const { client, peer } = await join({ patience: 300 });
    const asked = client.request("slow");
    let isClosed = false;
    const closing = client.close().then(() => (isClosed = true));
    const { id } = (await peer.next()) as { id: number };
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(isClosed).toBe(false);
    peer.send({ id, result: 7 });
    expect(await asked).toBe(7);
    await closing;
  });

  it("is asked nothing more once it is to close, and what was asked is answered all the same", async () => {
    const { client, peer } = await join();
    const stream = client.events();
    await peer.answer("subscribe", { instance: "a", sequence: 0, resumed: true });
    const call = client.call("query-version");
    const request = await peer.next();
    const closing = client.close();
    await stream.return();
    await expect(client.call("query-status")).rejects.toMatchObject({ code: "CLOSED" });
    expect(await peer.next()).toBeUndefined();
    peer.send({ id: request?.id, result: { name: "iovad" } });
    peer.socket.end();
    expect(await call).toEqual({ name: "iovad" });
    await closing;
  });

  it("drops what is under way when it is told to", async () => {
    const { client, peer } = await join();
    const call = client.call("query-version");
    client.destroy();
    await expect(call).rejects.toMatchObject({ code: "CLOSED" });
    expect(await client.closed).toBeUndefined();
    await peer.next();
    expect(await peer.next()).toBeUndefined();
  });

  it("leaves nothing open, descriptors included that nobody has asked for", async () => {
    const fd = openSync(NULL, "r");
    const before = openFiles();
    const { client, peer } = await join();
    const answer = client.call("query-version");
    const request = await peer.next();
    await peer.sendWith([fd], { method: "EVENT", params: { sequence: 1 } });
    await peer.sendWith([fd, fd], { id: request?.id, result: {} });
    expect(await answer).toEqual({});
    client.destroy();
    while (openFiles() > before) await nextTurn();
    closeSync(fd);
  });
});

describe("descriptors", () => {
  const files = [NULL, "/dev/zero"];
  let fds: number[];
  beforeEach(() => {
    fds = files.map((file) => openSync(file, "r"));
  });
  afterEach(() => {
    for (const fd of fds) closeSync(fd);
  });
  async function join() {
    const connecting = connect({ socket: server.path, descriptors: true });
    const peer = await server.greeted();
    return { client: await connecting, peer };
  }
  const CONTEXT = { context: "vm" };

  it("come with the answer that carries them, whatever comes before and behind it in one piece", async () => {
    const { client, peer } = await join();
    const answers = [
      client.request("before"),
      client.callForDescriptors("hand-over-context", CONTEXT),
      client.request("behind"),
    ] as const;
    for (let each = 0; each < 3; each++) await peer.next();
    peer.event("BEFORE", 1);
    peer.send({ id: 1, result: {} });
    await peer.sendWith(fds, { id: 2, result: CONTEXT });
    peer.send({ id: 3, result: {} });
    const { result, fds: came } = await answers[1];
    expect(result).toEqual(CONTEXT);
    expect(came.map((fd) => readlinkSync(`/proc/self/fd/${fd}`))).toEqual(files);
    expect(await Promise.all([answers[0], answers[2]])).toEqual([{}, {}]);
    for (const fd of came) closeSync(fd);
    client.destroy();
  });

  it("are none when the answer has none, and closed when it is an error", async () => {
    const { client, peer } = await join();
    const without = client.callForDescriptors("hand-over-context", CONTEXT);
    await peer.answer("hand-over-context", CONTEXT);
    expect((await without).fds).toEqual([]);
    const before = openFiles();
    const refused = client.callForDescriptors("hand-over-context", CONTEXT).catch((error: unknown) => error);
    const id = (await peer.next())?.id;
    await peer.sendWith(fds, { id, error: { code: -32013, message: "after all" } });
    expect(await refused).toMatchObject({ code: -32013 });
    while (openFiles() > before) await nextTurn();
    client.destroy();
  });

  it("are closed when the connection ends within the answer that has them", async () => {
    const { client, peer } = await join();
    const before = openFiles();
    const cut = client.callForDescriptors("hand-over-context", CONTEXT);
    await peer.next();
    const [fd] = fds as [number];
    await peer.sendWith([fd], { method: "x".repeat(100_000) }).then(() => peer.socket.destroy());
    await expect(cut).rejects.toBeInstanceOf(ConnectionError);
    while (openFiles() > before) await nextTurn();
    expect(fstatSync(fd).isCharacterDevice()).toBe(true);
    client.destroy();
  });

  it("do not come from another host", async () => {
    await expect(connect({ via: ["true"], descriptors: true })).rejects.toThrow("of this host only");
  });

  it("take a client that was connected for them", async () => {
    const connecting = connect({ socket: server.path });
    await server.greeted();
    const client = await connecting;
    await expect(client.callForDescriptors("hand-over-context", CONTEXT)).rejects.toThrow(
      "descriptors: true",
    );
    client.destroy();
  });
});

describe("a process that speaks for the daemon", () => {
  // As ssh with ControlPersist leaves somebody behind who keeps its streams open.
  it("is at its end when it has ended, whoever it leaves behind", async () => {
    const begin = performance.now();
    const pid = pathOf(dirname(server.path), "pid");
    const script = `sleep 30 & echo $! > ${pid}; echo "not there" >&2; exit 3`;
    await expect(connect({ socket: "far", via: ["sh", "-c", script] })).rejects.toThrow("far: not there");
    expect(performance.now() - begin).toBeLessThan(8000);
    process.kill(Number(readFileSync(pid, "utf8")), "SIGKILL");
  });
});
