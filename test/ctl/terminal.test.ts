import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";
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

it.each([
  ["NO_COLOR is set", "devices", { NO_COLOR: "1" }],
  ["the terminal is dumb", "devices", { TERM: "dumb" }],
  ["--color=never is given", "devices --color=never", {}],
  ["the output is no terminal", "devices | cat", {}],
])("is not coloured where %s", async (_when, line, env) => {
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
