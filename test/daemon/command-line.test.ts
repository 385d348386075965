import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect } from "../../src/client/index.ts";
import { fewOf } from "../runs.ts";
import { Daemon, MAIN } from "./daemon.ts";

const TOPOLOGY = { devices: [] };

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Runs a command line that is expected to end by itself. */
function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], {
    encoding: "utf8",
    timeout: 20_000,
  });
  return { status, stdout, stderr };
}

function file(name: string, content: string): string {
  const path = join(directory, name);
  writeFileSync(path, content);
  return path;
}

describe("the command line", () => {
  it("prints its help and its version on standard output", () => {
    expect(run("--help")).toMatchObject({
      status: 0,
      stderr: "",
      stdout: expect.stringContaining("--socket PATH"),
    });
    expect(run("--version")).toEqual({ status: 0, stderr: "", stdout: "iovad 0.2.0\n" });
  });

  it.each([
    ["an option that does not exist", ["--sokcet", "x"], "--sokcet"],
    [
      "the ioctl of iommufd's self-test",
      ["--resv-iova-ranges-ioctl", "0x3ba0"],
      "mainline Linux uses 0x3ba0",
    ],
  ])("refuses %s with one line and status 2", (_what, args, message) => {
    const { status, stdout, stderr } = run(...args);
    expect(stderr).toMatch(/^iovad: [^\n]*\n$/);
    expect(stderr).toContain(message);
    expect(stdout).toBe("");
    expect(status).toBe(2);
  });

  const TOPOLOGIES: [string, () => string, string][] = [
    ["is missing", () => join(directory, "missing.json"), "ENOENT"],
    ["is not JSON", () => file("bad.json", "{"), "JSON"],
    ["has a range upside down", () => file("range.json", UPSIDE_DOWN), "devices[0].regions[0].last"],
  ];
  it.each(fewOf(TOPOLOGIES, 1))(
    "refuses a topology that %s with one line and status 2",
    (_what, path, message) => {
      const simulate = path();
      const { status, stderr } = run("--socket", join(directory, "s"), "--simulate", simulate);
      expect(stderr).toMatch(/^iovad: [^\n]*\n$/);
      expect(stderr).toContain(simulate);
      expect(stderr).toContain(message);
      expect(status).toBe(2);
      expect(existsSync(join(directory, "s"))).toBe(false);
    },
  );
});

const UPSIDE_DOWN = JSON.stringify({
  iommus: [{ name: "dmar0" }],
  devices: [{ device: "a", iommu: "dmar0", regions: [{ start: "0x2000", last: "0x1000", type: "msi" }] }],
});

describe("the socket", () => {
  it("is open to its owner and group, in a directory that others cannot enter", async () => {
    const topology = file("topology.json", JSON.stringify(TOPOLOGY));
    const socket = join(directory, "new", "iovad.sock");
    const daemon = await Daemon.start({ socket, args: ["--simulate", topology] });
    expect(statSync(socket).mode & 0o777).toBe(0o660);
    expect(statSync(dirname(socket)).mode & 0o777).toBe(0o750);
    expect(await daemon.stop()).toBe(0);
  });

  it("is not taken from a daemon that listens on it", async () => {
    const daemon = await Daemon.start({ topology: TOPOLOGY });
    const topology = file("topology.json", JSON.stringify(TOPOLOGY));
    const second = run("--socket", daemon.socket, "--simulate", topology);
    expect(second).toEqual({ status: 1, stdout: "", stderr: expect.stringMatching(/^iovad: [^\n]*\n$/) });
    expect(second.stderr).toContain(daemon.socket);
    const client = await daemon.client();
    expect(await client.call("query-version")).toMatchObject({ name: "iovad" });
    expect(await daemon.stop()).toBe(0);
  });

  it("does not stay behind when the daemon cannot listen at another", () => {
    const topology = file("topology.json", JSON.stringify(TOPOLOGY));
    const socket = join(directory, "s");
    const { status, stderr } = run(
      ...["--socket", socket, "--metrics-socket", topology, "--simulate", topology],
    );
    expect(stderr).toBe(`iovad: there is something at ${topology} that is not a socket\n`);
    expect(status).toBe(1);
    expect(existsSync(socket)).toBe(false);
  });

  it("is taken over from a daemon that was killed", async () => {
    const socket = join(directory, "iovad.sock");
    const killed = await Daemon.start({ topology: TOPOLOGY, socket });
    expect(await killed.stop("SIGKILL")).toBe(null);
    expect(existsSync(socket)).toBe(true);
    const daemon = await Daemon.start({ topology: TOPOLOGY, socket });
    const client = await daemon.client();
    expect(await client.call("query-version")).toMatchObject({ name: "iovad" });
    expect(await daemon.stop()).toBe(0);
  });
});

describe("a signal", () => {
  it.each(["SIGTERM", "SIGINT"] as const)(
    "%s ends the daemon with status 0 and removes the socket",
    async (signal) => {
      const daemon = await Daemon.start({ topology: TOPOLOGY });
      expect(await daemon.stop(signal)).toBe(0);
      expect(existsSync(daemon.socket)).toBe(false);
      expect(daemon.stdout).toBe("");
    },
  );

  it("lets the request under way finish, and gives everything back, also when it comes twice", async () => {
    const daemon = await Daemon.start({ topology: SLOW });
    const client = await daemon.client();
    await client.call("create-ioas");
    const held = client.call("hold-device", { device: "0000:00:05.0" });
    const other = await daemon.client();
    // Refused because the bind is under way.
    await expect(other.call("probe-device", { device: "0000:00:05.0" })).rejects.toMatchObject({
      code: -32002,
    });
    const stopped = daemon.signal("SIGTERM");
    while (!daemon.log.some(({ msg }) => msg === "closing")) await new Promise(setImmediate);
    process.kill(daemon.pid, "SIGTERM");
    expect(await held).toMatchObject({ device: "0000:00:05.0" });
    expect(await stopped).toBe(0);
    expect(daemon.log.map(({ msg }) => msg)).toEqual(
      expect.arrayContaining(["closing", "closing already", "DEVICE_HELD", "DEVICE_RELEASED", "closed"]),
    );
  });

  it("tells subscribers what it gives back, and that it is because of the end", async () => {
    const daemon = await Daemon.start({ topology: SLOW });
    const client = await daemon.client();
    await client.call("create-context", { context: "guest", lease: "connection" });
    await client.call("hold-device", { device: "0000:00:05.0", context: "guest" });
    const told: unknown[] = [];
    const events = client.events();
    expect((await events.next()).value?.method).toBe("SNAPSHOT");
    const stopped = daemon.signal("SIGTERM");
    for await (const { method, params } of events) {
      if (!("context" in params && "cause" in params) || params.context !== "guest") continue;
      told.push([method, params.cause]);
      if (told.length === 2) break;
    }
    expect(told).toEqual([
      ["DEVICE_RELEASED", "shutdown"],
      ["CONTEXT_DESTROYED", "shutdown"],
    ]);
    expect(await stopped).toBe(0);
  });
});

const SLOW = {
  iommus: [{ name: "dmar0" }],
  devices: [{ device: "0000:00:05.0", iommu: "dmar0", driver: "vfio-pci", "latency-ms": { bind: 500 } }],
};

describe("the log", () => {
  it("has one line for every change of state, with device, context, ioas and duration", async () => {
    const daemon = await Daemon.start({ topology: SLOW });
    const client = await daemon.client();
    const device = "0000:00:05.0";
    await client.call("create-context", { context: "guest" });
    const { ioas } = await client.call("create-ioas", { context: "guest" });
    await client.call("hold-device", { device, context: "guest" });
    await client.call("attach-device", { device, ioas });
    await client.call("detach-device", { device });
    await client.call("release-device", { device });
    await client.call("destroy-context", { context: "guest" });
    expect(await daemon.stop()).toBe(0);
    const ms = expect.any(Number);
    const asked = { cause: "request", uid: process.getuid?.() };
    const changes = daemon.log
      .filter(({ msg }) => /^[A-Z_]+$/.test(msg))
      .map(({ level, time, ...rest }) => rest);
    expect(changes).toEqual([
      { msg: "CONTEXT_CREATED", context: "guest", lease: "persistent" },
      { msg: "IOAS_CREATED", context: "guest", ioas },
      { msg: "DEVICE_HELD", device, context: "guest", ms },
      { msg: "DEVICE_ATTACHED", device, context: "guest", ioas, ms },
      { msg: "DEVICE_DETACHED", device, context: "guest", ioas, ms, ...asked },
      { msg: "DEVICE_RELEASED", device, context: "guest", ms, ...asked },
      { msg: "IOAS_DESTROYED", context: "guest", ioas },
      { msg: "CONTEXT_DESTROYED", context: "guest", ...asked },
      { msg: "CONTEXT_DESTROYED", context: "default", cause: "shutdown", uid: null },
    ]);
  });

  it("never repeats a client's input at length", async () => {
    const daemon = await Daemon.start({ topology: TOPOLOGY, args: ["--log-level", "trace"] });
    const client = await daemon.client();
    const long = "x".repeat(100_000);
    await expect(client.request(long)).rejects.toMatchObject({ code: -32601 });
    await expect(client.request("query-devices", { [long]: long })).rejects.toMatchObject({ code: -32602 });
    await expect(client.call("hold-device", { device: long })).rejects.toMatchObject({ code: -32602 });
    expect(await daemon.stop()).toBe(0);
    expect(JSON.stringify(daemon.log)).not.toContain("x".repeat(200));
  });
});

describe("a host without iommufd", () => {
  it("serves what needs none, and says what is missing for the rest", async () => {
    const daemon = await Daemon.start({
      topology: { kernel: { iommufd: false, "vfio-cdev": false }, ...TOPOLOGY },
    });
    const client = await connect({ socket: daemon.socket });
    expect(await client.call("query-status")).toMatchObject({
      kernel: { iommufd: false, "vfio-cdev": false },
    });
    expect(await client.call("query-devices")).toEqual({ devices: [] });
    await expect(client.call("create-ioas")).rejects.toMatchObject({
      code: -32009,
      data: { class: "NotSupported", missing: "/dev/iommu" },
    });
    await client.close();
    expect(await daemon.stop()).toBe(0);
  });
});
