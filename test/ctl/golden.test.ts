import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DirectoryStore } from "../../src/fleet/stores/directory.ts";
import { Daemon } from "../daemon/daemon.ts";
import { profile, record } from "../fleet/hosts.ts";
import { iovactl, MAIN, settled } from "./command-line.ts";

const INTEL = new URL("../../src/demo/hosts/intel.json", import.meta.url);

let daemon: Daemon;
beforeAll(async () => {
  const topology = JSON.parse(readFileSync(INTEL, "utf8"));
  // What a GPU's function is, and a latency that nobody has to wait for here.
  topology.devices[4].pci = { vendor: "0x10de", device: "0x2330", class: "0x030200" };
  for (const device of topology.devices) delete device["latency-ms"];
  daemon = await Daemon.start({ topology });
  const client = await daemon.client();
  await client.call("create-context", { context: "guest1" });
  const { ioas } = await client.call("create-ioas", { context: "guest1" });
  await client.call("hold-device", { device: "0000:83:00.0", context: "guest1" });
  await client.call("attach-device", { device: "0000:83:00.0", ioas });
});
afterAll(() => daemon.stop());

const run = async (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
  const { stdout, stderr, status } = await iovactl(["-s", daemon.socket, ...args], env);
  return settled(stdout + stderr, daemon.socket) + (status === 0 ? "" : `exit status ${status}\n`);
};

const COMMANDS: readonly (readonly string[])[] = [
  ["status"],
  ["devices"],
  ["devices", "--tree"],
  ["reserved", "83:00.0"],
  ["allowed", "guest1/1"],
  ["map", "83:00.0"],
  ["map", "guest1/1"],
  ["map", "83:00.0", "84:00.0", "03:00.0"],
  ["map", "--machine", "q35,version=9.0", "-m", "1T", "84:00.0"],
  ["check", "--machine", "pc-q35-9.0", "-m", "8G", "83:00.0"],
  ["check", "--machine", "q35", "-m", "1T", "83:00.0"],
  ["find", "4G", "--not-below", "0x100000000", "83:00.0"],
  ["find", "1T", "83:00.0"],
  ["explain", "0xb0000000-0xffffffff"],
  ["contexts"],
  ["profile"],
  ["history"],
  ["methods"],
  ["schema", "query-version"],
  ["call", "query-version"],
  ["doctor", "84:00.0"],
  [
    "doctor",
    "--message",
    "vfio_dma_map(0x55de3c2a97f0, 0xfe000000, 0x2000000, 0x7f8fcbe00000) = -22 (Invalid argument)",
  ],
  ["--help"],
  ["check", "--help"],
];

type View = readonly [name: string, options: readonly string[], env: NodeJS.ProcessEnv];
const VIEWS: readonly View[] = [
  ["80 columns", [], { COLUMNS: "80" }],
  ["200 columns", [], { COLUMNS: "200" }],
  ["80 columns, colour", ["--color=always"], { COLUMNS: "80" }],
  ["200 columns, colour", ["--color=always"], { COLUMNS: "200" }],
  ["JSON", ["--json=short"], {}],
];

/** Compares what each view shows with what it showed. */
async function expectViews(name: string, look: (...view: View) => Promise<string>): Promise<void> {
  let text = "";
  for (const [view, options, env] of VIEWS) text += `=== ${view}\n${await look(view, options, env)}`;
  const file = name
    .replaceAll(/[^A-Za-z0-9.]+/g, "-")
    .slice(0, 48)
    .replace(/^-|-$/g, "");
  await expect(text).toMatchFileSnapshot(`golden/${file}.txt`);
}

/** The limit of locked memory is this machine's, and what all findings come to goes by it. */
const withoutLock = (text: string) =>
  text.replaceAll(/^\S*memory lock\S*\n[\s\S]*$/gm, "").replaceAll(/,\{"group":"memory lock".*?\}/g, "");

it.each(COMMANDS.map((args) => [args.join(" "), args] as const))("%s looks as it did", (name, args) =>
  expectViews(name, async (_view, options, env) => withoutLock(await run([...options, ...args], env))),
);

/** What changes the host, and leaves it as it was. */
const SESSION = `
  call create-context {"context":"vm"}
  call create-ioas {"context":"vm"}
  hold 84:00.0 --context vm
  hold 84:00.0
  hold 03:00.0
  attach 84:00.0 vm/1
  allow vm/1 0x0+2G
  allow vm/1 --clear
  detach 84:00.0
  release 84:00.0
  call destroy-context {"context":"vm"}`;

it("what changes the host looks as it did", () =>
  expectViews("session", async (_view, options, env) => {
    let text = "";
    for (const line of SESSION.trim().split(/\n\s+/)) {
      text += `$ iovactl ${line}\n${await run([...options, ...line.split(" ")], env)}`;
    }
    return text;
  }));

it("watch looks as it did", () =>
  expectViews("watch", async (_view, options, env) => {
    const args = [MAIN, "-s", daemon.socket, ...options, "watch", "--since", "0"];
    const child = spawn(process.execPath, args, {
      env: { PATH: process.env.PATH, ...env },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const seen: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      seen.push(`${settled(line, daemon.socket)}\n`);
      if (line.includes("ALLOWED_RANGES_CHANGED")) break;
    }
    child.kill();
    return seen.join("");
  }));

it("metrics has the names, the kinds and the words that it had", async () => {
  const text = await run(["metrics"]);
  await expect(text.replaceAll(/^[^#].*\n/gm, "")).toMatchFileSnapshot("golden/metrics.txt");
});

const FLEET: readonly (readonly string[])[] = [
  ["hosts"],
  ["check", "-m", "4G", "--hosts", "wide-*"],
  ["check", "-m", "16G"],
  ["predict"],
  ["find", "1G", "--hosts", "wide-*"],
  ["find", "1T"],
  ["fits", "-m", "4G", "--want", "1:10de:20b5"],
  ["outliers"],
];

describe("of a fleet", () => {
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "iovad-fleet-"));
    const store = new DirectoryStore(directory);
    const publish = (host: string, told: ReturnType<typeof profile>, changes = {}) =>
      store.publish(record(host, { digest: told.digest, ...changes }), told);
    await publish("wide-1", profile("d1", "0xffffffffffff"));
    await publish("wide-2", profile("d1", "0xffffffffffff"));
    await publish("narrow", profile("d2", "0x1ffffffff"));
    const heartbeat = new Date(Date.now() - 86_400_000).toISOString();
    await publish("silent", profile("d3", "0xffffff"), { heartbeat });
    writeFileSync(join(directory, "half.json"), '{"host":"ha');
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  it.each(FLEET.map((args) => [args.join(" "), args] as const))("%s looks as it did", (name, args) =>
    expectViews(`fleet ${name}`, async (_view, options, env) => {
      const text = await run(["fleet", ...args, "--from", directory, ...options], env);
      return text
        .replaceAll(/ +\d+ s\b/g, (age) => "N s".padStart(age.length))
        .replaceAll(/"age":[\d.]+/g, '"age":0');
    }),
  );
});

it.each([
  ["devices.svg", ["map", "83:00.0", "03:00.0", "--svg", "-"]],
  ["guest.svg", ["map", "84:00.0", "--machine", "q35", "-m", "1T", "--svg", "-"]],
])("the picture %s looks as it did", async (file, args) => {
  await expect(await run(args)).toMatchFileSnapshot(`golden/${file}`);
});

// The last: what is known of the device is exact then.
it("probe looks as it did", () =>
  expectViews("probe", (_view, options, env) => run([...options, "probe", "84:00.0", "99:00.0"], env)));
