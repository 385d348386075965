import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MAIN } from "./daemon.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-config-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

function check(config: unknown, ...args: string[]) {
  const path = join(directory, "config.json");
  writeFileSync(path, JSON.stringify(config));
  const command = [MAIN, "--config", path, ...args];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, {
    encoding: "utf8",
    timeout: 20_000,
  });
  return { path, status, stdout, lines: stderr.split("\n").slice(0, -1) };
}

describe("--check-config", () => {
  it("says nothing of a good file, and starts nothing", () => {
    const socket = join(directory, "s");
    const { status, stdout, lines } = check({ socket, "control-group": ["root"] }, "--check-config");
    expect({ status, stdout, lines }).toEqual({ status: 0, stdout: "", lines: [] });
    expect(existsSync(socket)).toBe(false);
  });

  it("prints every problem of a bad one with its path, a line each, with status 2", () => {
    const { path, status, stdout, lines } = check(
      { "control-group": ["root", "no-such-group"], "max-batch": "many" },
      "--check-config",
    );
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(lines).toEqual([
      expect.stringContaining(`iovad: ${path}: control-group[1] `),
      expect.stringContaining(`iovad: ${path}: max-batch `),
    ]);
  });
});

it("a daemon that was to start with a bad file says so in one line, with status 2", () => {
  const { path, status, lines } = check({ "max-batch": 0, "max-contexts": 0 });
  expect(status).toBe(2);
  expect(lines).toEqual([expect.stringMatching(/^iovad: .*max-batch.*max-contexts/)]);
  expect(lines[0]).toContain(path);
});
