import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";
import { IS_LONG } from "../runs.ts";
import { iovactl } from "./command-line.ts";

const topology = JSON.parse(
  readFileSync(new URL("../../src/demo/hosts/intel.json", import.meta.url), "utf8"),
);

let daemon: Daemon;
let directory: string;
let file: string;
beforeAll(async () => {
  daemon = await Daemon.start({ topology });
  directory = mkdtempSync(join(tmpdir(), "iovactl-"));
  file = join(directory, "report.html");
  const client = await daemon.client();
  await client.call("create-context", { context: "guest1" });
  expect(await iovactl(["-s", daemon.socket, "report", file])).toEqual({ status: 0, stdout: "", stderr: "" });
});
afterAll(async () => {
  await daemon.stop();
  rmSync(directory, { recursive: true });
});

it("has devices, maps, findings and events on one page that loads and runs nothing", () => {
  const html = readFileSync(file, "utf8");
  for (const { device } of topology.devices) expect(html).toContain(`<td>${device}</td>`);
  expect(html.match(/<svg /g)).toHaveLength(2);
  expect(html).toContain("0xbdf6e000-0xbdf84fff is to be mapped 1:1");
  expect(html).toMatch(/CONTEXT_CREATED {2}guest1/);
  expect(html).not.toMatch(/<script|<link|<img|src=|url\((?!#)/);
});

it("says what is wrong with the file", async () => {
  const { status, stderr } = await iovactl([
    "-s",
    daemon.socket,
    "report",
    join(directory, "no/such/report.html"),
  ]);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^iovactl: [^\n]*ENOENT[^\n]*\n$/);
});

/** Who installs no browser is not kept from the rest; .ci/run installs one. It takes seconds to start. */
const chromium = IS_LONG
  ? ["chromium", "chromium-browser", "google-chrome"].find(
      (name) => spawnSync(name, ["--version"]).status === 0,
    )
  : undefined;
it.skipIf(!chromium)("a browser, where this machine has one and there is time, shows it", () => {
  const flags = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--dump-dom",
    `--user-data-dir=${directory}/profile`,
  ];
  const { stdout } = spawnSync(chromium as string, [...flags, `file://${file}`], {
    encoding: "utf8",
    timeout: 60_000,
  });
  expect(stdout).toContain("<h2>Findings</h2>");
  expect(stdout).toContain("outside the aperture");
});
