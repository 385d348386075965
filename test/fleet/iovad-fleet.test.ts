import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeEach, expect, it } from "vitest";
import { DEFAULT_SOCKET } from "../../src/client/index.ts";
import { FakeServer } from "../client/fake-server.ts";
import { Daemon } from "../daemon/daemon.ts";

/** The built command. */
const MAIN = new URL("../../dist/fleet/main.js", import.meta.url).pathname;

let directory: string;
let daemon: Daemon;
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "iovad-fleet-"));
  daemon = await Daemon.start({ topology: { devices: [] }, socket: join(directory, "iovad.sock") });
});
afterEach(async () => {
  await daemon.stop();
  rmSync(directory, { recursive: true });
});

/** Starts iovad-fleet; resolves when it says that it has published. */
async function published(...args: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [MAIN, "--name", "n1", "--to", join(directory, "fleet"), ...args], {
    stdio: ["ignore", "inherit", "pipe"],
    env: { ...process.env, XDG_RUNTIME_DIR: directory },
  });
  let said = "";
  for await (const bytes of child.stderr) {
    said += bytes;
    if (/: published n1 at /.test(said)) return child;
  }
  throw new Error(`it has ended: ${said}`);
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, "close");
  child.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
}

it.skipIf(existsSync(DEFAULT_SOCKET))(
  "finds the daemon that its user has started, where the host has none",
  async () => {
    const child = await published();
    expect(readdirSync(join(directory, "fleet"))).toEqual(["n1.json"]);
    await end(child);
    expect(readdirSync(join(directory, "fleet"))).toEqual([]);
  },
);

it("makes the directory of its labels as it makes that of its hosts", async () => {
  const features = join(directory, "features.d");
  const child = await published("--socket", daemon.socket, "--features", features);
  expect(readFileSync(join(features, "iovad"), "utf8")).toContain("iovad.io/blocked-devices=0\n");
  await end(child);
  expect(readdirSync(features)).toEqual([]);
});

it("ends when it is told to, also while a daemon that does not greet has it wait", async () => {
  const server = await FakeServer.start();
  const child = spawn(process.execPath, [MAIN, "--to", directory, "--socket", server.path]);
  let said = "";
  child.stderr.on("data", (bytes) => (said += bytes));
  await server.peer();
  await end(child);
  expect(said).toBe("");
  await server.stop();
});

it("takes its host out however often it is told to end", async () => {
  const features = join(directory, "features.d");
  const child = await published("--socket", daemon.socket, "--features", features);
  const ended = once(child, "close");
  for (let times = 0; times < 20; times++) {
    child.kill("SIGTERM");
    child.kill("SIGINT");
    // Of those that come at once only one is seen.
    await delay(1);
  }
  expect(await ended).toEqual([0, null]);
  expect([readdirSync(join(directory, "fleet")), readdirSync(features)]).toEqual([[], []]);
});
