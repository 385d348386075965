import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { UsageError } from "../../src/command-line.ts";
import { parseOptions } from "../../src/demo/options.ts";
import { fewOf, IS_LONG } from "../runs.ts";

/** The built demo. */
const MAIN = new URL("../../dist/demo/main.js", import.meta.url).pathname;

let directory: string;
let socket: string;
let child: ChildProcess | undefined;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-demo-"));
  socket = join(directory, "s");
});
afterEach(() => {
  child?.kill("SIGKILL");
  rmSync(directory, { recursive: true });
});

function start(...args: string[]): ChildProcess {
  child = spawn(process.execPath, [MAIN, "--socket", socket, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  return child;
}

async function run(...args: string[]) {
  const demo = start(...args);
  let [stdout, stderr] = ["", ""];
  demo.stdout?.on("data", (chunk) => (stdout += chunk));
  demo.stderr?.on("data", (chunk) => (stderr += chunk));
  const [status] = await once(demo, "close");
  return { status, stdout, stderr };
}

it.each(fewOf(["intel", "amd", "arm"], 1))("shows the main job on the host %s, and ends", async (host) => {
  const { status, stdout, stderr } = await run("--once", "--host", host);
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toContain(`iovad serves a simulated ${host} host.`);
  expect(stdout).toContain("→ query-allowed-ranges");
  expect(stdout).toContain("→ destroy-ioas");
  expect(existsSync(socket)).toBe(false);
});

// Twenty processes.
it.runIf(IS_LONG)("shows what six hosts have in common, who of them stands out, and ends", async () => {
  const { status, stdout, stderr } = await run("--fleet");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toMatch(/remedy: leave out arm/);
  expect(stdout).toMatch(/arm cost the pool 1 MiB; without it it gains 1 MiB/);
  expect(stdout).toMatch(/It fits on all 5 hosts/);
  expect(stdout).toMatch(/^intel-old +no +- +no-device +wanted 2 of 10de:20b5, and it has 1$/m);
  expect(stdout).toMatch(/LAYOUT_MENDED {2}arm/);
});

it("prints its help, with the hosts there are", async () => {
  const { status, stdout, stderr } = await run("--help");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toContain("amd, arm, intel");
});

it.each([
  ["a host that there is none of", ["--host", "vax"], 'no simulated host "vax"'],
  ["a path for a host", ["--host", "../hosts/intel"], "no simulated host"],
  ["an option that there is none of", ["--hots", "intel"], "--hots"],
  ["an argument too many", ["intel"], "intel"],
])("refuses %s", (_what, args, message) => {
  expect(() => parseOptions(args)).toThrow(
    expect.objectContaining({ name: UsageError.name, message: expect.stringContaining(message) }),
  );
});

it("refuses with one line and status 2", async () => {
  const { status, stdout, stderr } = await run("--hots", "intel");
  expect(stderr).toMatch(/^demo: [^\n]*--hots[^\n]*\n$/);
  expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
});

it("says why its daemon cannot start, in one line", async () => {
  const { status, stderr } = await run("--once", "--socket", "/dev/null/s");
  expect(stderr).toMatch(/^demo: [^\n]*\/dev\/null[^\n]*\n$/);
  expect(status).toBe(1);
});

it("ends without a word when its reader goes, and its daemon with it", async () => {
  const demo = start();
  let stderr = "";
  demo.stderr?.on("data", (chunk) => (stderr += chunk));
  if (!demo.stdout) throw new Error("no stdout");
  await once(demo.stdout, "data");
  demo.stdout.destroy();
  const [status] = await once(demo, "close");
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
});

it("stays up until it is told to end", async () => {
  const demo = start();
  let stdout = "";
  for await (const chunk of demo.stdout ?? []) {
    stdout += chunk;
    if (stdout.includes("Ctrl-C ends it.")) break;
  }
  demo.kill("SIGINT");
  expect(await once(demo, "exit")).toEqual([0, null]);
  expect(existsSync(socket)).toBe(false);
});
