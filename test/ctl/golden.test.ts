import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";
import { iovactl, settled } from "./command-line.ts";

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
  ["metrics"],
  ["doctor", "84:00.0"],
  [
    "doctor",
    "--message",
    "vfio_dma_map(0x55de3c2a97f0, 0xfe000000, 0x2000000, 0x7f8fcbe00000) = -22 (Invalid argument)",
  ],
  ["completion", "bash"],
  ["complete", "--", "chec"],
  ["--help"],
  ["check", "--help"],
  ["hold", "03:00.0"],
  ["hold", "84:00.0"],
  ["release", "84:00.0"],
  ["attach", "83:00.0", "guest1/1"],
  ["detach", "83:00.0"],
  ["allow", "guest1/1", "0x0+2G"],
  ["probe", "84:00.0", "99:00.0"],
];

it.each(COMMANDS.map((args) => [args.join(" "), args] as const))("%s looks as it did", async (name, args) => {
  const views = [
    ["80 columns", args, { COLUMNS: "80" }],
    ["200 columns", args, { COLUMNS: "200" }],
    ["80 columns, colour", ["--color=always", ...args], { COLUMNS: "80" }],
    ["JSON", ["--json=short", ...args], {}],
  ] as const;
  let text = "";
  for (const [view, words, env] of views) text += `=== ${view}\n${await run(words, env)}`;
  // The limit of locked memory is this machine's.
  text = text
    .replaceAll(/^memory lock\n(.*\n)*?(?==== |$)/gm, "")
    .replaceAll(/,\{"group":"memory lock".*?\}/g, "");
  text = text.replaceAll(/^.*memory lock[^=]*(?==== )/gm, "");
  const file = name
    .replaceAll(/[^A-Za-z0-9.]+/g, "-")
    .slice(0, 48)
    .replace(/^-|-$/g, "");
  await expect(text).toMatchFileSnapshot(`golden/${file}.txt`);
});

it.each([
  ["devices.svg", ["map", "83:00.0", "03:00.0", "--svg", "-"]],
  ["guest.svg", ["map", "84:00.0", "--machine", "q35", "-m", "1T", "--svg", "-"]],
])("the picture %s looks as it did", async (file, args) => {
  await expect(await run(args)).toMatchFileSnapshot(`golden/${file}`);
});
