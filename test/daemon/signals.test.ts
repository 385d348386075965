import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect as dial } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Daemon, preload } from "./daemon.ts";

const TOPOLOGY = { devices: [] };
const READ_AGAIN = "configuration read again";
const FAULTY = "the configuration is faulty; nothing was changed";

/** Where Node.js's inspector listens. */
const INSPECTOR_PORT = 9229;

let directory: string;
let config: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-signals-"));
  config = join(directory, "config.json");
});
afterEach(() => rmSync(directory, { recursive: true }));

const write = (content: unknown) => writeFileSync(config, JSON.stringify(content));

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = dial(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Sends SIGHUP, and resolves to the line that tells what came of it. */
function hangup(daemon: Daemon, outcome: string) {
  const from = daemon.log.length;
  process.kill(daemon.pid, "SIGHUP");
  return daemon.logged(outcome, from);
}

describe("SIGUSR1 or SIGUSR2", () => {
  it("does nothing: no debugger, no end", async () => {
    expect(await isListening(INSPECTOR_PORT), "something of this host has the port").toBe(false);
    const daemon = await Daemon.start({ topology: TOPOLOGY });
    const client = await daemon.client();
    for (const signal of ["SIGUSR1", "SIGUSR2"] as const) {
      for (let i = 0; i < 3; i++) {
        process.kill(daemon.pid, signal);
        expect(await client.call("query-version")).toMatchObject({ name: "iovad" });
      }
      expect(await isListening(INSPECTOR_PORT), signal).toBe(false);
    }
    expect(await daemon.stop()).toBe(0);
    expect(JSON.stringify(daemon.log)).not.toContain("Debugger");
  });
});

describe("SIGHUP", () => {
  it("makes other limits, rules and another log level take effect", async () => {
    write({});
    const daemon = await Daemon.start({ topology: TOPOLOGY, args: ["--config", config] });
    const client = await daemon.client();
    expect(statSync(daemon.socket).mode & 0o777).toBe(0o660);
    await client.call("create-context", { context: "a" });
    write({ "max-contexts": 2, "observe-user": [1], "log-level": "debug" });
    expect(await hangup(daemon, READ_AGAIN)).toMatchObject({ config });
    await expect(client.call("create-context", { context: "b" })).rejects.toMatchObject({
      class: "LimitExceeded",
      data: { limit: "max-contexts" },
    });
    expect(statSync(daemon.socket).mode & 0o777).toBe(0o666);
    write({ "log-level": "error" });
    process.kill(daemon.pid, "SIGHUP");
    while ((statSync(daemon.socket).mode & 0o777) !== 0o660) await new Promise(setImmediate);
    await client.call("create-context", { context: "b" });
    expect(daemon.log.filter(({ msg, context }) => msg === "CONTEXT_CREATED" && context === "b")).toEqual([]);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log.some(({ msg }) => msg === "closed")).toBe(false);
  });

  it("names the options that were changed, and wait for the next start", async () => {
    write({ "lease-grace": 7 });
    const daemon = await Daemon.start({ topology: TOPOLOGY, args: ["--config", config] });
    write({ "lease-grace": 8, "metrics-socket": join(directory, "m"), socket: join(directory, "s") });
    await hangup(daemon, READ_AGAIN);
    const warnings = () => daemon.log.filter(({ level }) => level === 40);
    // What the command line has the file cannot change.
    expect(warnings()).toMatchObject([{ options: ["metrics-socket", "lease-grace"] }]);
    write({ "lease-grace": 7, "max-contexts": 2 });
    await hangup(daemon, READ_AGAIN);
    expect(warnings()).toHaveLength(1);
    expect(await daemon.stop()).toBe(0);
  });

  it("changes nothing with a faulty file, and says so", async () => {
    write({ "max-contexts": 2 });
    const daemon = await Daemon.start({ topology: TOPOLOGY, args: ["--config", config] });
    const client = await daemon.client();
    for (const [what, content] of [
      ["is not JSON", "{"],
      ["has a value that is none", JSON.stringify({ "max-contexts": 0, "log-level": "error" })],
      ["has an option that does not exist", JSON.stringify({ "max-contexts": 1, "max-contextz": 1 })],
    ] as const) {
      writeFileSync(config, content);
      const { problems } = await hangup(daemon, FAULTY);
      expect(problems, what).toEqual([expect.stringContaining(config)]);
      await client.call("create-context", { context: "a" });
      await expect(client.call("create-context", { context: "b" }), what).rejects.toMatchObject({
        data: { limit: "max-contexts" },
      });
      await client.call("destroy-context", { context: "a" });
    }
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log.some(({ msg }) => msg === "closed")).toBe(true);
  });

  it("while it starts waits until it has", async () => {
    write({});
    const early = `
      import net from "node:net";
      const { listen } = net.Server.prototype;
      net.Server.prototype.listen = function (...args) {
        process.kill(process.pid, "SIGHUP");
        return listen.apply(this, args);
      };`;
    const args = ["--config", config];
    const daemon = await Daemon.start({ topology: TOPOLOGY, args, nodeOptions: preload(early) });
    await daemon.logged(READ_AGAIN);
    expect(await daemon.stop()).toBe(0);
  });

  it("while it ends changes nothing", async () => {
    write({});
    const device = "0000:00:05.0";
    const slow = { device, iommu: "dmar0", driver: "vfio-pci", "latency-ms": { bind: 1000 } };
    const topology = { iommus: [{ name: "dmar0" }], devices: [slow] };
    const daemon = await Daemon.start({ topology, args: ["--config", config] });
    const client = await daemon.client();
    const held = client.call("hold-device", { device }).catch(() => {});
    process.kill(daemon.pid, "SIGTERM");
    await daemon.logged("closing");
    const from = daemon.log.length;
    process.kill(daemon.pid, "SIGHUP");
    await held;
    expect(await daemon.exited).toBe(0);
    const after = daemon.log.slice(from).map(({ msg }) => msg);
    expect(after).not.toContain(READ_AGAIN);
    expect(after).not.toContain("the mode of a socket cannot be changed");
    await daemon.stop();
  });

  it("ends nothing when somebody has removed the socket", async () => {
    write({});
    const daemon = await Daemon.start({ topology: TOPOLOGY, args: ["--config", config] });
    const client = await daemon.client();
    rmSync(daemon.socket);
    write({ "max-contexts": 2 });
    await hangup(daemon, READ_AGAIN);
    expect(daemon.log.find(({ path }) => path === daemon.socket)).toMatchObject({ level: 50 });
    expect(await client.call("query-version")).toMatchObject({ name: "iovad" });
    expect(await daemon.stop()).toBe(0);
  });

  it("changes nothing and ends nothing without --config", async () => {
    const daemon = await Daemon.start({ topology: TOPOLOGY });
    const client = await daemon.client();
    await hangup(daemon, "there is no --config to read again");
    expect(await client.call("query-version")).toMatchObject({ name: "iovad" });
    expect(await daemon.stop()).toBe(0);
  });
});
