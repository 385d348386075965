import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const UNITS = new URL("../../systemd/", import.meta.url).pathname;
const HAS_SYSTEMD = spawnSync("systemd-analyze", ["--version"]).status === 0;
if (!HAS_SYSTEMD)
  console.warn("units.test.ts: no systemd-analyze, so nobody says how exposed the service is");

/** What systemd-analyze says of the service with these drop-ins. */
function analyze(args: readonly string[], ...dropIns: string[]): string {
  const directory = mkdtempSync(join(tmpdir(), "iovad-units-"));
  for (const unit of ["iovad.service", "iovad.socket", "iovad-modules.service"])
    cpSync(UNITS + unit, join(directory, unit));
  mkdirSync(join(directory, "iovad.service.d"));
  for (const name of dropIns) cpSync(UNITS + name, join(directory, "iovad.service.d", name));
  const { stdout, stderr } = spawnSync("systemd-analyze", [...args, join(directory, "iovad.service")], {
    encoding: "utf8",
  });
  rmSync(directory, { recursive: true });
  return stdout + stderr;
}

function exposure(...dropIns: string[]): number {
  const text = analyze(["security", "--offline=true", "--no-pager"], ...dropIns);
  const level = /exposure level for iovad\.service: ([\d.]+)/.exec(text)?.[1];
  if (level === undefined) throw new Error(text);
  return Number(level);
}

/** The values of a setting, of a unit or a drop-in. */
function settings(file: string, name: string): string[] {
  const lines = readFileSync(UNITS + file, "utf8").split("\n");
  return lines.flatMap((line) => (line.startsWith(`${name}=`) ? [line.slice(name.length + 1)] : []));
}

describe.skipIf(!HAS_SYSTEMD)("by systemd's own measure", () => {
  it("the service as it is shipped is exposed by 1.2 at most", () => {
    expect(exposure()).toBeLessThanOrEqual(1.2);
  });

  it("the hardened one by 0.8 at most", () => {
    expect(exposure("hardened.conf")).toBeLessThanOrEqual(0.8);
  });

  it("nothing in the units is unknown or misspelt", () => {
    const complaints = analyze(["verify", "--man=no"], "hardened.conf").split("\n");
    const ours = complaints.filter((line) => /iovad(-modules)?\.(service|socket)/.test(line));
    // The commands are not installed here.
    expect(ours.filter((line) => !line.includes("is not executable"))).toEqual([]);
  });
});

it("the hardened service is started with the options of the shipped one", () => {
  const [shipped = ""] = settings("iovad.service", "ExecStart");
  const [, hardened = ""] = settings("hardened.conf", "ExecStart");
  const options = (command: string) => command.slice(command.indexOf(" --socket"));
  expect(options(shipped)).toContain("--socket");
  expect(options(hardened)).toBe(options(shipped));
});

it("the service listens where its socket unit does, and where clients look for it", async () => {
  const { DEFAULT_SOCKET } = await import("../../src/client/index.ts");
  expect(settings("iovad.socket", "ListenStream")).toEqual([DEFAULT_SOCKET]);
  expect(settings("iovad.service", "ExecStart")[0]).toContain(`--socket ${DEFAULT_SOCKET} `);
});
