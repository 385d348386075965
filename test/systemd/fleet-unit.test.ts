import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";

const UNIT = new URL("../../systemd/iovad-fleet.service", import.meta.url).pathname;
const HAS_SYSTEMD = spawnSync("systemd-analyze", ["--version"]).status === 0;
if (!HAS_SYSTEMD) {
  console.warn("fleet-unit.test.ts: no systemd-analyze, so nobody says how exposed iovad-fleet is");
}

function analyze(...args: string[]): string {
  const { stdout, stderr } = spawnSync("systemd-analyze", [...args, UNIT], { encoding: "utf8" });
  return stdout + stderr;
}

describe.skipIf(!HAS_SYSTEMD)("the unit of iovad-fleet, by systemd's own measure,", () => {
  it("is exposed by 1.5 at most, though it may use the network", () => {
    const text = analyze("security", "--offline=true", "--no-pager");
    const level = /exposure level for iovad-fleet\.service: ([\d.]+)/.exec(text)?.[1];
    expect(Number(level)).toBeGreaterThan(0);
    expect(Number(level)).toBeLessThanOrEqual(1.5);
  });

  it("has nothing unknown or misspelt in it", () => {
    const complaints = analyze("verify", "--man=no").split("\n");
    const ours = complaints.filter((line) => line.includes("iovad-fleet.service"));
    // The command is not installed here.
    expect(ours.filter((line) => !line.includes("is not executable"))).toEqual([]);
  });
});
