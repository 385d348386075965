import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";
import { fewOf } from "../runs.ts";
import { MAIN } from "./command-line.ts";
import { Terminal } from "./terminal.ts";

const topology = JSON.parse(readFileSync(new URL("../../src/demo/hosts/amd.json", import.meta.url), "utf8"));
const ESCAPE = String.fromCharCode(27);

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start({ topology });
});
afterAll(() => daemon.stop());

const run = (line: string, env: NodeJS.ProcessEnv = {}) =>
  new Terminal(`stty cols 60; ${process.execPath} ${MAIN} -s ${daemon.socket} ${line}`, env).end();

it("is coloured on a terminal", async () => {
  const { status, text } = await run("devices");
  expect(status).toBe(0);
  expect(text).toContain(`${ESCAPE}[32myes`);
});

const COLOURLESS: [string, string, NodeJS.ProcessEnv][] = [
  ["NO_COLOR is set", "devices", { NO_COLOR: "1" }],
  ["the terminal is dumb", "devices", { TERM: "dumb" }],
  ["--color=never is given", "devices --color=never", {}],
  ["the output is no terminal", "devices | cat", {}],
];
it.each(fewOf(COLOURLESS, 2))("is not coloured where %s", async (_when, line, env) => {
  const { text } = await run(line, env);
  expect(text).toContain("DEVICE");
  expect(text).not.toContain(ESCAPE);
});

it("keeps to the width of the terminal", async () => {
  const { text } = await run("methods --color=never");
  const lines = text.trim().split(/\r?\n/);
  expect(Math.max(...lines.map((line) => line.length))).toBe(60);
  expect(lines.some((line) => line.endsWith("…"))).toBe(true);
  const map = await run("map 0000:41:00.0 --color=never");
  const drawn = map.text.split(/\r?\n/).filter((line) => /[│├]/.test(line));
  expect(drawn.length).toBeGreaterThan(3);
  expect(Math.max(...drawn.map((line) => line.length))).toBeLessThanOrEqual(60);
});

it("prints JSON for reading on a terminal, and one line of it in a pipe", async () => {
  expect((await run("-j contexts --color=never")).text.trim().split("\n").length).toBeGreaterThan(1);
  expect((await run("-j contexts | cat")).text.trim().split("\n")).toHaveLength(1);
});

it("shows how far a long probe is on a terminal", async () => {
  const { text } = await run("probe --all --color=never");
  expect(text).toMatch(/0 of \d+: 0000:/);
});

it("shows on a terminal how far it is with a fleet, and then nothing of it", async () => {
  const { text } = await run("fleet hosts --from test/fleet --color=never");
  expect(text).toMatch(/test\/fleet: 0 hosts so far/);
  expect(text.slice(text.lastIndexOf(`${ESCAPE}[K`))).not.toContain("so far");
  expect((await run("fleet hosts --from test/fleet 2>&1 | cat")).text).not.toContain("so far");
});

it("a pipe that is closed early ends it without a word, and without a failure", async () => {
  const { status, text } = await run("call query-schema | head -c 20");
  expect({ status, length: text.trim().length }).toEqual({ status: 0, length: 20 });
});

it("Ctrl-C ends a long probe, and does the host no harm", async () => {
  const slow = structuredClone(topology);
  for (const device of slow.devices) device["latency-ms"] = { bind: 1000 };
  const own = await Daemon.start({ topology: slow });
  const probing = new Terminal(`${process.execPath} ${MAIN} -s ${own.socket} probe --all`);
  await probing.until(/0 of \d+: 0000:/);
  probing.type("\x03");
  expect((await probing.end()).status).toBe(130);
  const client = await own.client();
  // The last of them was not begun.
  const { devices } = await client.call("query-devices", { available: true });
  const last = devices.at(-1)?.device as string;
  expect(await client.call("query-reserved-ranges", { device: last })).toMatchObject({ source: "sysfs" });
  expect(await client.call("probe-device", { device: last })).toMatchObject({ source: "probe" });
  const after = await client.call("query-devices");
  expect(after.devices.map(({ state }) => state)).toEqual(after.devices.map(() => "observed"));
  await own.stop();
});
