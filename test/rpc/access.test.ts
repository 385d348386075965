import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { METHODS } from "../../src/rpc/methods/index.ts";
import {
  ADMIN,
  ADMIN_GROUP,
  type Asker,
  DEVICE,
  OBSERVER,
  OBSERVER_GROUP,
  STRANGER,
  startDaemon,
} from "./peers.ts";
import type { Message } from "./stub.ts";

let daemon: Awaited<ReturnType<typeof startDaemon>>;
beforeEach(async () => {
  daemon = await startDaemon();
});
afterEach(() => daemon.stop());

const CONTROL = METHODS.filter(({ role }) => role === "control").map(({ name }) => name);
const OBSERVE = METHODS.filter(({ role }) => role === "observe").map(({ name }) => name);

/** The lines that the log has for calls. */
const calls = () => daemon.log.filter(({ msg }) => msg === "call");

describe("a connection", () => {
  it.each([
    ["without credentials", null],
    ["of a peer without a role", { uid: STRANGER }],
    ["of a member of root's group", { gid: 0, groups: [0] }],
  ])("%s gets one line that says so, and its end", async (_who, credentials) => {
    const { client, first } = await daemon.dial(credentials);
    expect(first).toEqual({
      jsonrpc: "2.0",
      id: null,
      error: { code: -32010, message: expect.any(String), data: { class: "PermissionDenied" } },
    });
    expect(await client.rest()).toEqual([]);
    expect(await (await daemon.connect(0)).outcome("query-version")).toBe("done");
  });

  it("of a peer that sends at once is told as well, and its end is the server's", async () => {
    for (let i = 0; i < 20; i++) {
      const { client, first } = await daemon.dial({ uid: STRANGER }, "x".repeat(100_000));
      expect(first.error.code).toBe(-32010);
      await client.ended;
    }
  });

  it("over and over, by peers that keep their end open, is refused as ever", async () => {
    for (let i = 0; i < 300; i++) {
      expect((await daemon.dial({ uid: STRANGER })).first.error.code).toBe(-32010);
    }
    expect(await (await daemon.connect(0)).outcome("query-version")).toBe("done");
  });

  it("of a peer without a role takes no place from the others, however often it comes", async () => {
    await daemon.stop();
    daemon = await startDaemon({ "max-connections": 1 });
    for (let i = 0; i < 20; i++) {
      const { first } = await daemon.dial({ uid: STRANGER });
      expect(first.error.data.class).toBe("PermissionDenied");
    }
    expect(await (await daemon.connect(0)).outcome("query-version")).toBe("done");
  });
});

describe.each([
  ["root", 0, {}],
  ["the daemon's own user", 990, {}],
  ["a user who controls", ADMIN, {}],
  ["a member of a group that controls", STRANGER, { groups: [5, ADMIN_GROUP] }],
])("%s", (_who, uid, credentials) => {
  it("may call every method", async () => {
    const client = await daemon.connect(uid, credentials);
    for (const { name } of METHODS) expect(await client.outcome(name)).not.toBe("PermissionDenied");
  });

  it("is shown every method", async () => {
    const client = await daemon.connect(uid, credentials);
    expect(await commands(client)).toEqual(METHODS.map(({ name }) => name));
  });
});

describe.each([
  ["a user who observes", OBSERVER, {}],
  ["a member of a group that observes", STRANGER, { gid: OBSERVER_GROUP }],
])("%s", (_who, uid, credentials) => {
  let client: Asker;
  beforeEach(async () => {
    client = await daemon.connect(uid, credentials);
  });

  it("may call the methods that observe, and is shown no other", async () => {
    for (const name of OBSERVE) expect(await client.outcome(name)).not.toBe("PermissionDenied");
    expect(await commands(client)).toEqual(OBSERVE);
  });

  it.each(CONTROL)("may not call %s, whatever the params", async (name) => {
    const junk = { context: 7, device: [], ioas: "x", "no-such-member": 1 };
    for (const params of [
      undefined,
      {},
      [],
      junk,
      { context: "default", device: DEVICE, ioas: 1, ranges: [] },
    ]) {
      const { error } = await client.ask(name, params);
      expect(error).toMatchObject({ code: -32010, data: { class: "PermissionDenied" } });
      expect(error.message).toContain(name);
    }
    expect(daemon.host.contexts()).toHaveLength(1);
    expect(daemon.host.heldCount).toBe(0);
  });

  it("is refused the same inside a batch, and the rest of the batch is answered", async () => {
    client.send([
      { jsonrpc: "2.0", id: 1, method: "create-ioas" },
      { jsonrpc: "2.0", method: "create-ioas" },
      { jsonrpc: "2.0", id: 2, method: "query-version" },
    ]);
    expect(await client.next()).toEqual([
      expect.objectContaining({ id: 1, error: expect.objectContaining({ code: -32010 }) }),
      expect.objectContaining({ id: 2, result: expect.objectContaining({ name: "iovad" }) }),
    ]);
    expect(daemon.host.context("default").ioases.size).toBe(0);
  });

  it("may check a layout and may not enforce it", async () => {
    const { ioas } = await (await daemon.connect(ADMIN)).get("create-ioas");
    const layout = [{ name: "ram", start: "0x0", size: "0x10000" }];
    expect(await client.outcome("check-layout", { layout, ioas })).toBe("done");
    expect(await client.outcome("check-layout", { layout, ioas, enforce: true })).toBe("PermissionDenied");
    expect(daemon.host.ioas("default", ioas).allowList).toBe(null);
  });
});

async function commands(client: Asker): Promise<string[]> {
  return (await client.get("query-commands")).commands.map(({ name }: Message) => name);
}

describe("the log", () => {
  it("has one line for every call that controls, with who, what and how it went", async () => {
    const client = await daemon.connect(ADMIN, { pid: 4711 });
    await client.get("query-version");
    await client.get("create-context", { context: "guest" });
    const { ioas } = await client.get("create-ioas", { context: "guest" });
    await client.get("hold-device", { device: DEVICE, context: "guest" });
    await client.get("attach-device", { device: DEVICE, ioas });
    await client.ask("create-context", { context: "guest" });
    await client.ask("create-context", { context: "/" });
    await client.ask("release-device", { device: "none" });
    const who = {
      uid: ADMIN,
      pid: 4711,
      role: "control",
      connection: 1,
      ms: expect.any(Number),
      msg: "call",
    };
    expect(calls().map(({ level, time, ...rest }) => rest)).toEqual([
      { method: "create-context", context: "guest", outcome: "done", ...who },
      { method: "create-ioas", context: "guest", ioas, outcome: "done", ...who },
      { method: "hold-device", device: DEVICE, context: "guest", outcome: "done", ...who },
      { method: "attach-device", device: DEVICE, context: "guest", ioas, outcome: "done", ...who },
      { method: "create-context", context: "guest", outcome: "AlreadyExists", ...who },
      { method: "create-context", outcome: "-32602", ...who },
      { method: "release-device", device: "none", outcome: "NotHeld", ...who },
    ]);
  });

  it("has the line of an enforced layout, and none of one that is only checked", async () => {
    const client = await daemon.connect(ADMIN);
    const { ioas } = await client.get("create-ioas");
    const layout = [{ name: "ram", start: "0x0", size: "0x10000" }];
    await client.get("check-layout", { layout, ioas });
    await client.get("check-layout", { layout, ioas, enforce: true });
    expect(calls().map(({ method, ioas: id }) => [method, id])).toEqual([
      ["create-ioas", ioas],
      ["check-layout", ioas],
    ]);
  });

  it("has the first refused call of a connection, and is not filled by the rest", async () => {
    const [one, two] = [await daemon.connect(OBSERVER), await daemon.connect(OBSERVER)];
    for (let i = 0; i < 10; i++) await one.ask("create-ioas");
    await two.ask("hold-device");
    expect(calls().map(({ method, uid, role, outcome }) => ({ method, uid, role, outcome }))).toEqual([
      { method: "create-ioas", uid: OBSERVER, role: "observe", outcome: "PermissionDenied" },
      { method: "hold-device", uid: OBSERVER, role: "observe", outcome: "PermissionDenied" },
    ]);
  });

  it("has nothing of what a client makes up", async () => {
    const client = await daemon.connect(ADMIN);
    await client.ask("create-context", { context: "x".repeat(1000) });
    await client.ask("y".repeat(1000));
    await client.ask("create-ioas", { ["z".repeat(1000)]: 1 });
    expect(JSON.stringify(daemon.log)).not.toMatch(/x{65}|y{65}|z{65}/);
  });
});
