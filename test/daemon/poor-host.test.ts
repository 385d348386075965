import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Daemon, MAIN, preload } from "./daemon.ts";

const TOPOLOGY = {
  iommus: [{ name: "dmar0" }],
  devices: [{ device: "0000:00:05.0", iommu: "dmar0", driver: "vfio-pci" }],
};

/** Makes native code fail, whichever way it is loaded. */
const WITHOUT_KOFFI = preload(`
  import { Module, register } from "node:module";
  process.dlopen = () => {
    throw new Error("cannot be loaded");
  };
  const load = Module._load;
  Module._load = (name, ...rest) => {
    if (/koffi/.test(name)) throw new Error("cannot be loaded");
    return load(name, ...rest);
  };
  const hooks = 'export function resolve(name, context, next) { if (/koffi/.test(name)) throw new Error("cannot be loaded"); return next(name, context); }';
  register("data:text/javascript," + encodeURIComponent(hooks));
`);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-poor-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function run(command: string, args: readonly string[]) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 20_000 });
  return { status, stdout, stderr };
}

describe("where native code cannot be loaded", () => {
  it("prints its version and its help", () => {
    for (const option of ["--version", "--help"]) {
      const { status, stdout, stderr } = run(process.execPath, [...WITHOUT_KOFFI, MAIN, option]);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(stdout).toContain("iovad");
    }
  });

  it("says in one line that it cannot serve the host itself", () => {
    const { status, stderr } = run(process.execPath, [
      ...WITHOUT_KOFFI,
      MAIN,
      "--socket",
      join(directory, "s"),
    ]);
    expect(stderr).toMatch(/^iovad: [^\n]*\n$/);
    expect(status).toBe(1);
  });

  it("serves a simulated host to its own user, and hands nothing over", async () => {
    const daemon = await Daemon.start({ topology: TOPOLOGY, nodeOptions: WITHOUT_KOFFI });
    expect(statSync(daemon.socket).mode & 0o777).toBe(0o600);
    const client = await daemon.client();
    await client.call("create-context", { context: "vm" });
    expect(await client.call("hold-device", { device: "0000:00:05.0" })).toMatchObject({
      context: "default",
    });
    await expect(client.call("hand-over-context", { context: "vm" })).rejects.toMatchObject({
      class: "NotSupported",
      data: { missing: "koffi" },
    });
    expect(await daemon.stop()).toBe(0);
  });
});

describe("a config that is no regular file", () => {
  it.each([
    ["a FIFO", (path: string) => execFileSync("mkfifo", [path])],
    ["a directory", (path: string) => execFileSync("mkdir", [path])],
    ["a device", (path: string) => execFileSync("ln", ["-s", "/dev/zero", path])],
  ])("is refused at once: %s", (_what, make) => {
    const path = join(directory, "config");
    make(path);
    for (const args of [[], ["--check-config"]]) {
      const { status, stderr } = run(process.execPath, [MAIN, "--config", path, ...args]);
      expect(stderr).toBe(`iovad: ${path}: is no regular file\n`);
      expect(status).toBe(2);
    }
  });
});

describe("with few open files", () => {
  it.for([20, 32, 64, 128])("(%i) it says so in one line, or serves", async (files, { skip }) => {
    const empty = join(directory, "empty.js");
    writeFileSync(empty, "");
    const alone = run("sh", ["-c", `ulimit -n ${files}; exec "$@"`, "sh", process.execPath, empty]);
    skip(alone.status !== 0, "this Node.js has none left for a program");
    const topology = join(directory, "topology.json");
    writeFileSync(topology, JSON.stringify(TOPOLOGY));
    const args = [process.execPath, MAIN, "--socket", join(directory, "s"), "--simulate", topology];
    const daemon = spawn("sh", ["-c", `ulimit -n ${files}; exec "$@"`, "sh", ...args]);
    let stderr = "";
    daemon.stderr.on("data", (chunk) => {
      stderr += chunk;
      if (stderr.includes('"msg":"listening"')) daemon.kill();
    });
    const [status] = await once(daemon, "close");
    if (status === 0) expect(stderr).toContain('"msg":"listening"');
    else {
      expect(status).toBe(1);
      expect(stderr).toMatch(/^iovad: too few open files [^\n]*\n$/);
    }
  });
});
