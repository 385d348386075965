import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  linkSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type BoundSocket, listenAt } from "../../src/rpc/socket-path.ts";
import { IS_LONG } from "../runs.ts";

let directory: string;
let path: string;
const servers: Server[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-path-"));
  path = join(directory, "s");
});

afterEach(() => {
  for (const server of servers.splice(0)) server.close();
  rmSync(directory, { recursive: true });
});

function listen(at = path): Promise<BoundSocket> {
  // A probe is gone before it is greeted.
  const server = createServer((socket) => socket.on("error", () => {}).end("hello"));
  servers.push(server);
  return listenAt(server, at);
}

async function reachable(at = path): Promise<boolean> {
  const socket = connect(at);
  const [data] = await once(socket, "data");
  return String(data) === "hello";
}

/** A socket file whose process died without removing it. */
async function leaveStale(at = path): Promise<void> {
  const script = `require("net").createServer().listen(${JSON.stringify(at)}, () => process.kill(process.pid, "SIGKILL"))`;
  await once(spawn(process.execPath, ["-e", script]), "exit");
  expect(lstatSync(at).isSocket()).toBe(true);
}

/** The same without a process: the name goes with the server, and another name of the file comes in its place. */
async function leaveStaleAtOnce(): Promise<void> {
  for (const server of servers.splice(0)) server.close();
  rmSync(path, { force: true });
  const server = createServer().listen(path);
  await once(server, "listening");
  linkSync(path, `${path}-kept`);
  server.close();
  await once(server, "close");
  renameSync(`${path}-kept`, path);
  expect(lstatSync(path).isSocket()).toBe(true);
}

const mode = (at: string) => statSync(at).mode & 0o777;

describe("listenAt", () => {
  it("listens at a free path and leaves no other file", async () => {
    await listen();
    expect(await reachable()).toBe(true);
    expect(readdirSync(directory)).toEqual(["s"]);
  });

  it("gives the socket mode 0660 and leaves the umask as it was", async () => {
    const umask = process.umask(0);
    try {
      await listen();
      expect(mode(path)).toBe(0o660);
      expect(process.umask()).toBe(0);
    } finally {
      process.umask(umask);
    }
  });

  it("makes the directory when it is missing, closed to others", async () => {
    const umask = process.umask(0);
    try {
      const nested = join(directory, "run", "iovad");
      await listen(join(nested, "s"));
      expect(mode(nested)).toBe(0o750);
    } finally {
      process.umask(umask);
    }
  });

  it("refuses a path where another listens, names it and does not disturb the other", async () => {
    await listen();
    await expect(listen()).rejects.toThrow(`another iovad is listening at ${path}`);
    expect(await reachable()).toBe(true);
    expect(readdirSync(directory)).toEqual(["s"]);
  });

  it("takes over a stale socket", async () => {
    await leaveStale();
    await listen();
    expect(await reachable()).toBe(true);
    expect(readdirSync(directory)).toEqual(["s"]);
  });

  it("takes over a stale socket although a claimant died in the middle", async () => {
    await leaveStale();
    await leaveStale(join(directory, `.iovad-claim-${lstatSync(path).ino}`));
    await listen();
    expect(await reachable()).toBe(true);
    expect(readdirSync(directory)).toEqual(["s"]);
  });

  it("refuses what is no socket and leaves it alone", async () => {
    writeFileSync(path, "precious");
    await expect(listen()).rejects.toThrow(`there is something at ${path} that is not a socket`);
    expect(readdirSync(directory)).toEqual(["s"]);
  });

  it("says where it cannot listen, and why, in the words of who asked", async () => {
    const listening = listen("/proc/iovad.sock");
    await expect(listening).rejects.toThrow(/^cannot listen at \/proc\/iovad\.sock: [a-z ]+ \(E[A-Z]+\)$/);
  });

  it("takes a path of 107 bytes and refuses one of 108 instead of cutting it short", async () => {
    const fits = join(directory, "x".repeat(107 - directory.length - 1));
    await listen(fits);
    expect(await reachable(fits)).toBe(true);
    await expect(listen(`${fits}x`)).rejects.toThrow(/108 bytes.*107/);
    await expect(listen(fits)).rejects.toThrow("another iovad");
  });

  it("lets exactly one of many win a stale path", async () => {
    for (let round = 0; round < 20; round++) {
      await leaveStaleAtOnce();
      const outcomes = await Promise.allSettled(Array.from({ length: 8 }, () => listen()));
      expect(outcomes.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
      expect(await reachable()).toBe(true);
      expect(readdirSync(directory)).toEqual(["s"]);
    }
  });

  it("lets exactly one of many processes win a stale path", async () => {
    const entry = new URL("../../dist/rpc/socket-path.js", import.meta.url).href;
    // Every process tells its outcome and keeps what it won until all have told theirs.
    const script = `
      const { createServer } = await import("node:net");
      const { listenAt } = await import(${JSON.stringify(entry)});
      const server = createServer((socket) => socket.on("error", () => {}).end("hello"));
      await listenAt(server, ${JSON.stringify(path)}).then(() => console.log("won"), (error) => console.log(error.message));
      process.stdin.once("data", () => process.exit()).resume();`;
    for (let round = 0; round < (IS_LONG ? 10 : 1); round++) {
      await leaveStaleAtOnce();
      const children = Array.from({ length: 4 }, () =>
        spawn(process.execPath, ["--input-type=module", "-e", script], {
          stdio: ["pipe", "pipe", "inherit"],
        }),
      );
      const outcomes = await Promise.all(
        children.map(async (child) => String((await once(child.stdout, "data"))[0]).trim()),
      );
      expect(outcomes.filter((outcome) => outcome === "won")).toHaveLength(1);
      expect(outcomes.filter((outcome) => outcome.startsWith("another iovad is listening"))).toHaveLength(3);
      expect(await reachable()).toBe(true);
      const exits = children.map((child) => once(child, "exit"));
      for (const child of children) child.stdin.end("stop\n");
      await Promise.all(exits);
    }
  });
});

describe("release", () => {
  it("removes the path", async () => {
    (await listen()).release();
    expect(existsSync(path)).toBe(false);
  });

  it("leaves a path alone that is another's by now", async () => {
    const bound = await listen();
    rmSync(path);
    await listen();
    bound.release();
    expect(await reachable()).toBe(true);
  });
});
