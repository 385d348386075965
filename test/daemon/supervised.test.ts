import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { linkSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { connect } from "../../src/client/index.ts";
import { ServiceManager } from "../service/service-manager.ts";
import { MAIN } from "./daemon.ts";

let directory: string;
let manager: ServiceManager;
let daemon: ChildProcess;

/** As systemd starts a service whose socket it listens at: that is descriptor 3. */
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "iovad-"));
  manager = new ServiceManager(join(directory, "notify"));
  const file = (name: string, content: object) => {
    writeFileSync(join(directory, name), JSON.stringify(content));
    return join(directory, name);
  };
  const options = [
    ...["--simulate", file("topology.json", { devices: [] })],
    ...["--config", file("config.json", {})],
    ...["--metrics-socket", join(directory, "metrics")],
  ];
  const listener = createServer().listen(join(directory, "made"));
  await once(listener, "listening");
  // Node.js removes the name that it has made, and this process is not to accept anything.
  linkSync(join(directory, "made"), join(directory, "s"));
  const { fd } = (listener as unknown as { _handle: { fd: number } })._handle;
  const start = `LISTEN_PID=$$ exec "$0" "$@"`;
  daemon = spawn("sh", ["-c", start, process.execPath, MAIN, ...options], {
    stdio: ["ignore", "inherit", "ignore", fd],
    env: {
      ...process.env,
      NOTIFY_SOCKET: join(directory, "notify"),
      LISTEN_FDS: "1",
      LISTEN_FDNAMES: "iovad.socket",
      WATCHDOG_USEC: "20000",
      XDG_RUNTIME_DIR: directory,
    },
  });
  await once(daemon, "spawn");
  listener.close();
});

afterEach(() => {
  daemon.kill("SIGKILL");
  manager.close();
  rmSync(directory, { recursive: true, force: true });
});

it("serves at the socket that it is given, and tells of its life", async () => {
  await manager.heard("READY=1");
  const client = await connect({ socket: join(directory, "s") });
  expect(await client.call("query-version")).toMatchObject({ name: "iovad" });
  await client.close();
  await manager.heard("WATCHDOG=1");
  daemon.kill("SIGHUP");
  await manager.heard("RELOADING=1");
  const exited = once(daemon, "exit");
  daemon.kill("SIGTERM");
  await manager.heard("STOPPING=1");
  expect(await exited).toEqual([0, null]);
  expect(manager.notices).toContainEqual("READY=1\nSTATUS=0 devices held in 1 contexts, 0 connections");
  // What is open on a simulated host cannot be kept by anybody.
  expect(manager.store.filter(({ name }) => !name.startsWith("journal-"))).toEqual([]);
});

it("gives the sockets that it has made itself the mode that changed rules want, and no other", async () => {
  const mode = (name: string) => statSync(join(directory, name)).mode & 0o777;
  await manager.heard("READY=1");
  const before = mode("s");
  expect(mode("metrics")).toBe(0o660);
  writeFileSync(join(directory, "config.json"), JSON.stringify({ "observe-user": [1] }));
  daemon.kill("SIGHUP");
  while (manager.notices.filter((notice) => notice.startsWith("READY=1")).length < 2)
    await new Promise(setImmediate);
  expect(mode("metrics")).toBe(0o666);
  expect(mode("s")).toBe(before);
});
