import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, chownSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { Daemon } from "./daemon.ts";

const DEVICE = "0000:00:05.0";
const TOPOLOGY = {
  iommus: [{ name: "dmar0" }],
  devices: [{ device: DEVICE, iommu: "dmar0", driver: "vfio-pci" }],
};

/** Numbers that no file needs to know. */
const [ADMIN, OTHER_ADMIN, OBSERVER, STRANGER] = [64_001, 64_002, 64_003, 64_004];
const [ADMINS, OBSERVERS, SOCKET_GROUP] = [64_101, 64_102, 64_103];

/**
 * A process of root's that for each message is another user: sends lines and answers with what comes back until the server
 * ends. Its user is the effective one, which is what the kernel tells the server of whoever connects.
 */
const CLIENT = `
  process.on("message", ({ uid, gid, groups, path, lines }) => {
    process.setgroups(groups);
    process.setegid(gid);
    process.seteuid(uid);
    let text = "";
    const socket = require("node:net").connect({ path, allowHalfOpen: true }, () => socket.end(lines));
    socket.on("error", (error) => { text = JSON.stringify({ connect: error.code }); });
    socket.on("data", (chunk) => { text += chunk; });
    socket.on("close", () => {
      process.seteuid(0);
      process.setegid(0);
      process.send(text);
    });
  });
`;

interface User {
  readonly uid: number;
  readonly gid?: number;
  readonly groups?: readonly number[];
}

type Message = { id?: unknown; connect?: string; error?: { code: number; data?: { class: string } } };

let other: ChildProcess | undefined;
afterAll(() => other?.disconnect());

/** What a process of that user gets for these requests, the greeting left out. */
async function ask(
  { uid, gid = uid, groups = [] }: User,
  path: string,
  ...requests: [string, object?][]
): Promise<Message[]> {
  const lines = requests.map(([method, params], id) =>
    JSON.stringify({ jsonrpc: "2.0", id, method, params }),
  );
  other ??= spawn(process.execPath, ["-e", CLIENT], { stdio: ["ignore", "ignore", "inherit", "ipc"] });
  const answered = once(other, "message");
  other.send({ uid, gid, groups, path, lines: `${lines.join("\n")}\n` });
  const [text] = await answered;
  const messages = (text as string).split("\n").flatMap((line) => (line ? [JSON.parse(line)] : []));
  return messages.filter(({ method }) => method !== "greeting");
}

const outcome = ({ error }: Message) => error?.data?.class ?? error?.code ?? "done";
const outcomes = async (...args: Parameters<typeof ask>) => (await ask(...args)).map(outcome);

let directory: string;
let daemon: Daemon;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-users-"));
  chmodSync(directory, 0o755);
});
afterEach(async () => {
  expect(await daemon.stop()).toBe(0);
  rmSync(directory, { recursive: true, force: true });
});

async function start(...args: string[]): Promise<string> {
  const socket = join(directory, "s");
  daemon = await Daemon.start({ topology: TOPOLOGY, socket, args });
  return socket;
}

/** Only root can become another user. */
const isRoot = process.geteuid?.() === 0;

// Only root can become others. What does not need that, the rules with made-up credentials, is in test/rpc.
describe.runIf(isRoot)("as another user, on a real socket", () => {
  const RULES = [
    ...["--control-user", String(ADMIN), "--control-user", String(OTHER_ADMIN)],
    ...["--control-group", String(ADMINS), "--observe-group", String(OBSERVERS)],
    ...["--observe-user", String(OBSERVER)],
  ];

  it("each may call the methods of its role and no other", async () => {
    const socket = await start(...RULES);
    for (const [who, user, role] of [
      ["a user who controls", { uid: ADMIN }, "control"],
      ["a member of a group that controls", { uid: STRANGER, groups: [7, ADMINS] }, "control"],
      ["one whose own group controls", { uid: STRANGER, gid: ADMINS }, "control"],
      ["a user who observes", { uid: OBSERVER }, "observe"],
      ["a member of a group that observes", { uid: STRANGER, groups: [OBSERVERS] }, "observe"],
    ] as const) {
      const answers = await ask(user, socket, ...METHODS.map(({ name }) => [name] as [string]));
      const denied = METHODS.filter((_method, id) => answers[id]?.error?.code === -32010);
      const expected = role === "control" ? [] : METHODS.filter((method) => method.role === "control");
      expect(
        answers.map(({ id }) => id),
        who,
      ).toEqual(METHODS.map((_method, id) => id));
      expect(
        denied.map(({ name }) => name),
        who,
      ).toEqual(expected.map(({ name }) => name));
    }
  });

  it("a stranger is told so and sent away", async () => {
    const socket = await start(...RULES);
    const [answer, ...more] = await ask({ uid: STRANGER, groups: [7] }, socket, ["query-version"]);
    expect(answer).toMatchObject({ id: null, error: { code: -32010, data: { class: "PermissionDenied" } } });
    expect(more).toEqual([]);
  });

  it("what one has made another who controls can not change, and root can", async () => {
    const socket = await start(...RULES);
    const device = { device: DEVICE };
    expect(
      await outcomes(
        { uid: ADMIN },
        socket,
        ["create-context", { context: "guest" }],
        ["hold-device", { ...device, context: "guest" }],
      ),
    ).toEqual(["done", "done"]);
    const changes: [string, object][] = [
      ["release-device", device],
      ["destroy-context", { context: "guest" }],
    ];
    expect(await outcomes({ uid: OTHER_ADMIN }, socket, ...changes)).toEqual([
      "PermissionDenied",
      "PermissionDenied",
    ]);
    expect(await outcomes({ uid: 0 }, socket, ...changes)).toEqual(["done", "done"]);
  });

  it("every call that controls is in the log with uid, pid and role", async () => {
    const socket = await start(...RULES);
    await ask({ uid: ADMIN }, socket, ["create-ioas"]);
    await ask({ uid: OBSERVER }, socket, ["create-ioas"]);
    await daemon.stop();
    const lines = daemon.log.filter(({ msg }) => msg === "call");
    const pid = expect.any(Number);
    expect(lines).toMatchObject([
      { method: "create-ioas", uid: ADMIN, pid, role: "control", outcome: "done", ioas: expect.any(Number) },
      { method: "create-ioas", uid: OBSERVER, pid, role: "observe", outcome: "PermissionDenied" },
    ]);
    expect(lines[0]?.pid).not.toBe(process.pid);
  });

  it("without rules only the members of the socket's group get in, and they observe", async () => {
    const socket = await start();
    chownSync(socket, 0, SOCKET_GROUP);
    expect(statSync(socket).mode & 0o777).toBe(0o660);
    expect(await ask({ uid: STRANGER }, socket, ["query-version"])).toEqual([{ connect: "EACCES" }]);
    expect(
      await outcomes({ uid: STRANGER, groups: [SOCKET_GROUP] }, socket, ["query-version"], ["create-ioas"]),
    ).toEqual(["done", "PermissionDenied"]);
    expect(await outcomes({ uid: 0 }, socket, ["create-ioas"])).toEqual(["done"]);
  });

  it("rules and limits come from a config file too", async () => {
    const config = join(directory, "config.json");
    writeFileSync(config, JSON.stringify({ "observe-user": [STRANGER], "max-batch": 1, "max-contexts": 1 }));
    const socket = await start("--config", config);
    expect(await outcomes({ uid: STRANGER }, socket, ["query-version"], ["create-ioas"])).toEqual([
      "done",
      "PermissionDenied",
    ]);
    expect(await outcomes({ uid: 0 }, socket, ["create-context", { context: "a" }])).toEqual([
      "LimitExceeded",
    ]);
  });
});

describe("as the daemon's own user", () => {
  it("everything is allowed, and the log has the process that called", async () => {
    await start();
    const client = await daemon.client();
    await client.call("create-ioas");
    await daemon.stop();
    expect(daemon.log.find(({ msg }) => msg === "call")).toMatchObject({
      uid: process.geteuid?.(),
      pid: process.pid,
      role: "control",
    });
  });
});
