import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { expect, it } from "vitest";
import { fewOf } from "./runs.ts";

const built = (path: string) => new URL(`../dist/${path}`, import.meta.url).pathname;
const INTEL = new URL("../src/demo/hosts/intel.json", import.meta.url).pathname;

const WRITTEN: readonly (readonly [name: string, args: readonly string[]])[] = [
  ["iovad", [built("main.cjs"), "--help"]],
  ["iovad", [built("main.cjs"), "--version"]],
  ["iovad", [built("main.cjs"), "--capture", "--simulate", INTEL]],
  ["iovactl", [built("ctl/main.js"), "--help"]],
  ["iovad-run", [built("run/main.js"), "--help"]],
  ["iovad-run", [built("run/main.js"), "--version"]],
  ["iovad-fleet", [built("fleet/main.js"), "--help"]],
];

async function finish(child: ChildProcess) {
  let stderr = "";
  child.stderr?.on("data", (bytes) => (stderr += bytes));
  const [status] = await once(child, "close");
  return { status, stderr };
}

it.each(fewOf(WRITTEN, 3))(
  "%s says that a full disk has not taken what it prints (%j)",
  async (name, args) => {
    const full = openSync("/dev/full", "w");
    const child = spawn(process.execPath, args, { stdio: ["ignore", full, "pipe"] });
    closeSync(full);
    const { status, stderr } = await finish(child);
    expect(status).toBe(1);
    expect(stderr).toMatch(new RegExp(`^${name}: the output cannot be written: ENOSPC[^\\n]*\\n$`));
  },
);

it.each(fewOf(WRITTEN, 3))(
  "%s ends without a word when the reader of what it prints goes (%j)",
  async (_name, args) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout?.destroy();
    expect(await finish(child)).toEqual({ status: 0, stderr: "" });
  },
);
