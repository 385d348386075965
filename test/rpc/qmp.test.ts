import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ADMIN, DEVICE, OBSERVER, STRANGER, startDaemon } from "./peers.ts";
import type { Message } from "./stub.ts";

let daemon: Awaited<ReturnType<typeof startDaemon>>;
const sockets: Socket[] = [];
beforeEach(async () => {
  daemon = await startDaemon();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await daemon.stop();
});

/** A client of QMP's dialect that sends bytes and reads lines. */
async function open(uid = ADMIN) {
  daemon.nextPeer({ uid });
  const socket = connect(daemon.qmpPath);
  sockets.push(socket);
  const lines: string[] = [];
  let wake = () => {};
  let text = "";
  let rest = "";
  socket.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
    const pieces = (rest + chunk).split("\r\n");
    rest = pieces.pop() ?? "";
    lines.push(...pieces);
    wake();
  });
  socket.on("close", () => wake());
  await once(socket, "connect");
  const next = async (): Promise<string> => {
    while (lines.length === 0 && !socket.destroyed) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return lines.shift() ?? "";
  };
  /** The next message that is no event. */
  const answer = async (): Promise<Message> => {
    for (;;) {
      const message = JSON.parse(await next());
      if (!("event" in message)) return message;
    }
  };
  const ask = (command: unknown): Promise<Message> => {
    socket.write(typeof command === "string" ? command : JSON.stringify(command));
    return answer();
  };
  return { socket, next, ask, answer, received: () => text };
}

async function negotiated(uid = ADMIN) {
  const client = await open(uid);
  await client.next();
  expect(await client.ask({ execute: "qmp_capabilities" })).toEqual({ return: {} });
  return client;
}

/** What QEMU's own qmp-shell (7.2) was seen to send, byte by byte and without any line ends, and to be answered. */
const QMP_SHELL: [sent: string, received: (RegExp | string)[]][] = [
  ['{"execute":"qmp_capabilities","arguments":{}}', ['{"return":{}}']],
  [
    '{"execute":"query-commands"}',
    [/^\{"return":\[\{"name":"query-version"\},.*\{"name":"query-qmp-schema"\}\]\}$/],
  ],
  [
    '{"execute":"query-version","arguments":{}}',
    ['{"return":{"qemu":{"micro":0,"minor":0,"major":0},"package":"iovad 0"}}'],
  ],
  [
    '{"execute":"query-devics","arguments":{}}',
    [
      '{"error":{"class":"CommandNotFound","desc":"Method not found: \\"query-devics\\"; did you mean query-devices? (query-commands lists the methods)","data":{"class":"MethodNotFound"}}}',
    ],
  ],
  [
    '{"execute":"create-ioas","arguments":{}}',
    [
      /^\{"event":"IOAS_CREATED","data":\{"context":"default","ioas":1,"sequence":\d+\},"timestamp":\{"seconds":\d+,"microseconds":\d+\}\}$/,
      '{"return":{"context":"default","ioas":1}}',
    ],
  ],
  [
    '{"execute":"query-reserved-ranges","arguments":{"device":"0000:00:99.0"}}',
    [/^\{"error":\{"class":"DeviceNotFound","desc":"no device 0000:00:99\.0 [^"]*","data":\{.*\}\}\}$/],
  ],
];

describe("QMP's dialect", () => {
  it("gives qmp-shell what it expects, byte by byte", async () => {
    const { socket, next } = await open();
    expect(await next()).toBe(
      '{"QMP":{"version":{"qemu":{"micro":0,"minor":0,"major":0},"package":"iovad 0"},"capabilities":[]}}',
    );
    for (const [sent, received] of QMP_SHELL) {
      socket.write(sent);
      for (const expected of received) {
        if (typeof expected === "string") expect(await next()).toBe(expected);
        else expect(await next()).toMatch(expected);
      }
    }
  });

  it("ends every message in CRLF: the greeting, answers, events of its own and of others, and a refusal", async () => {
    const [watcher, actor] = [await negotiated(), await negotiated()];
    await actor.ask({ execute: "create-ioas" });
    await watcher.next();
    const stranger = await open(STRANGER);
    expect(JSON.parse(await stranger.next()).error.data.class).toBe("PermissionDenied");
    const counts = [watcher, actor, stranger].map(({ received }) => {
      const messages = received().split("\r\n");
      expect(messages.pop()).toBe("");
      expect(messages.join("")).not.toMatch(/[\r\n]/);
      return messages.length;
    });
    expect(counts).toEqual([3, 4, 1]);
  });

  it("takes nothing but qmp_capabilities before it, and not twice", async () => {
    const client = await open();
    await client.next();
    for (const execute of ["query-version", "create-ioas", "nonsense"]) {
      expect(await client.ask({ execute, id: 7 })).toEqual({
        error: {
          class: "CommandNotFound",
          desc: expect.stringContaining("qmp_capabilities"),
          data: { class: "MethodNotFound" },
        },
        id: 7,
      });
    }
    expect(daemon.host.context("default").ioases.size).toBe(0);
    expect(await client.ask({ execute: "qmp_capabilities", arguments: { enable: [] } })).toEqual({
      return: {},
    });
    expect((await client.ask({ execute: "qmp_capabilities" })).error.class).toBe("CommandNotFound");
    expect((await client.ask({ execute: "query-version" })).return.package).toBe("iovad 0");
  });

  it("refuses a capability that it has not", async () => {
    const client = await open();
    await client.next();
    const { error } = await client.ask({ execute: "qmp_capabilities", arguments: { enable: ["oob"] } });
    expect(error).toMatchObject({ class: "GenericError", desc: expect.stringContaining('"oob"') });
    expect((await client.ask({ execute: "query-version" })).error.class).toBe("CommandNotFound");
  });

  it.each([["a string"], [12.5], [null], [{ nested: [1] }], [["a", 2]], [Array(4000).fill(0)]])(
    "echoes the id %j",
    async (id) => {
      const client = await negotiated();
      expect(await client.ask({ execute: "query-status", id })).toMatchObject({
        return: expect.anything(),
        id,
      });
      const { error, id: echoed } = await client.ask({ execute: "query-status", arguments: { x: 1 }, id });
      expect(error).toMatchObject({ class: "GenericError", data: { class: "InvalidParams" } });
      expect(echoed).toEqual(id);
    },
  );

  it.each([
    ["no JSON", "{,}", "ParseError"],
    ["no object", "[1]", "InvalidRequest"],
    ["no command", '{"id":1}', "InvalidRequest"],
    ["an unknown member", '{"execute":"query-status","argumenst":{}}', "InvalidRequest"],
    ["arguments that are no object", '{"execute":"query-status","arguments":[]}', "InvalidRequest"],
    ["out-of-band execution", '{"exec-oob":"query-status"}', "InvalidRequest"],
    ["an id that has lost digits", '{"execute":"query-status","id":9007199254740993}', "InvalidRequest"],
    [
      "an id that has lost digits inside",
      '{"execute":"query-status","id":{"a":[1,9007199254740993]}}',
      "InvalidRequest",
    ],
    ["an id with a number beyond all", '{"execute":"query-status","id":[1e400]}', "InvalidRequest"],
    ["too deep a nesting", `{"execute":${"[".repeat(100)}${"]".repeat(100)}}`, "LimitExceeded"],
    ["an id of too much", `{"execute":"query-status","id":[${"0,".repeat(4095)}0]}`, "InvalidRequest"],
    ["too long a message", `{"id":"é","execute":"${"x".repeat(2 ** 20)}"}`, "LimitExceeded"],
  ])("answers %s with one error, and goes on", async (_what, message, name) => {
    const client = await negotiated();
    const { error } = await client.ask(message);
    expect(error).toMatchObject({ class: "GenericError", desc: expect.any(String), data: { class: name } });
    expect((await client.ask({ execute: "query-version" })).return.package).toBe("iovad 0");
  });

  it.each([
    ["a control character", '{"execute":\x01\n', 1],
    ["a byte that is no UTF-8", Buffer.from('{"execute":\xff', "latin1"), 1],
    ["the end of a line in a string", '{"execute":"query-ver\n', 1],
    ["a stray bracket", "}", 1],
    ["a number", "5 ", 1],
    ["a word", "hello ", 1],
    ["a bracket that closes none, and another", '{"a":]}', 2],
  ])("answers a command right behind %s", async (_what, junk, faults) => {
    const client = await negotiated();
    client.socket.write(junk);
    client.socket.write('{"execute":"query-version"}');
    for (let i = 0; i < faults; i++) expect((await client.answer()).error.class).toBe("GenericError");
    expect((await client.answer()).return.package).toBe("iovad 0");
  });

  it("takes single-quoted strings, as QEMU does", async () => {
    const client = await negotiated();
    expect(await client.ask(String.raw`{'execute':'query-status','id':'a "b\'s" {'}`)).toMatchObject({
      return: expect.anything(),
      id: `a "b's" {`,
    });
  });

  it("sends events from qmp_capabilities on; subscribe narrows them, and unsubscribe ends them", async () => {
    const [watcher, actor] = [await negotiated(), await negotiated()];
    await actor.ask({ execute: "create-ioas" });
    expect(JSON.parse(await watcher.next())).toMatchObject({ event: "IOAS_CREATED", data: { ioas: 1 } });
    await watcher.ask({ execute: "subscribe", arguments: { events: ["IOAS_DESTROYED"] } });
    await actor.ask({ execute: "create-ioas" });
    await actor.ask({ execute: "destroy-ioas", arguments: { ioas: 1 } });
    expect(JSON.parse(await watcher.next())).toMatchObject({ event: "IOAS_DESTROYED", data: { ioas: 1 } });
    await watcher.ask({ execute: "unsubscribe" });
    await actor.ask({ execute: "create-ioas" });
    expect(await watcher.ask({ execute: "query-version", id: "last" })).toMatchObject({ id: "last" });
  });

  it("keeps the roles and the owners of the other dialect", async () => {
    const observer = await negotiated(OBSERVER);
    const { error } = await observer.ask({ execute: "hold-device", arguments: { device: DEVICE } });
    expect(error).toMatchObject({ class: "GenericError", data: { class: "PermissionDenied" } });
    const { return: commands } = await observer.ask({ execute: "query-commands" });
    expect(commands).not.toContainEqual({ name: "hold-device" });
  });

  it("describes every command and event in QEMU's form of a schema, whose types are all there", async () => {
    const client = await negotiated();
    const { return: schema } = await client.ask({ execute: "query-qmp-schema" });
    const byName = new Map(schema.map((each: Message) => [`${each["meta-type"]} ${each.name}`, each]));
    expect(byName.get("command hold-device")).toBeDefined();
    expect(byName.get("event DEVICE_HELD")).toBeDefined();
    const types = new Set(
      schema
        .filter((each: Message) => !["command", "event"].includes(each["meta-type"]))
        .map((each: Message) => each.name),
    );
    const used = schema.flatMap((each: Message) => [
      ...["arg-type", "ret-type", "element-type"].flatMap((name) => each[name] ?? []),
      ...(each.members ?? []).flatMap(({ type }: Message) => type ?? []),
    ]);
    expect(used.length).toBeGreaterThan(100);
    expect(used.filter((name: string) => !types.has(name))).toEqual([]);
  });

  it("describes the commands and events of this dialect, and their members down to what they are", async () => {
    const client = await negotiated();
    const { return: schema } = await client.ask({ execute: "query-qmp-schema" });
    const { return: commands } = await client.ask({ execute: "query-commands" });
    const of = (kind: string) => schema.filter((each: Message) => each["meta-type"] === kind);
    const names = (list: Message[]) => list.map(({ name }) => name).sort();
    expect(names(of("command"))).toEqual(names(commands));
    expect(names(commands)).toEqual(expect.arrayContaining(["qmp_capabilities", "query-qmp-schema"]));
    /** The members of a type that an entity has, with the meta-types of theirs. */
    const members = (name: string, kind: string) => {
      const entity = schema.find((each: Message) => each.name === name);
      const type = schema.find((each: Message) => each.name === entity[kind]);
      return (type.members ?? []).map(({ name, type }: Message) => {
        const { "meta-type": meta, name: own } = schema.find((each: Message) => each.name === type);
        return `${name}: ${meta === "builtin" ? own : meta}`;
      });
    };
    expect(members("query-version", "ret-type")).toEqual(["qemu: object", "package: str"]);
    expect(schema.find(({ name }: Message) => name === "query-commands")["ret-type"]).toMatch(/^\[/);
    expect(members("attach-device", "arg-type")).toEqual(["device: str", "ioas: int"]);
    expect(members("hold-device", "arg-type")).toEqual(["device: str", "context: str"]);
    expect(members("check-layout", "arg-type")).toEqual(
      expect.arrayContaining(["machine: alternate", "context: str", "ioas: int"]),
    );
    expect(members("DEVICE_CHANGED", "arg-type")).toContain("driver: alternate");
    expect(members("IOAS_CREATED", "arg-type")).toEqual(["context: str", "ioas: int", "sequence: int"]);
  });
});
