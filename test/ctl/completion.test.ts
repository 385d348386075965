import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";
import { iovactl, MAIN } from "./command-line.ts";
import { Terminal } from "./terminal.ts";

const topology = JSON.parse(
  readFileSync(new URL("../../src/demo/hosts/intel.json", import.meta.url), "utf8"),
);

let daemon: Daemon;
let directory: string;
beforeAll(async () => {
  daemon = await Daemon.start({ topology });
  directory = mkdtempSync(join(tmpdir(), "iovactl-"));
  const command = join(directory, "iovactl");
  writeFileSync(command, `#!/bin/sh\nexec ${process.execPath} ${MAIN} "$@"\n`);
  chmodSync(command, 0o755);
});
afterAll(async () => {
  await daemon.stop();
  rmSync(directory, { recursive: true });
});

/** A shell that this machine may lack: what cannot be driven is named, and not passed. */
const has = (shell: string) => spawnSync(shell, ["--version"]).status === 0;
const env = () => ({
  PATH: `${directory}:${process.env.PATH}`,
  PS1: "ready> ",
  TERM: "dumb",
  HOME: directory,
});

it.each([
  ["the commands", ["dev"], ["devices"]],
  ["options, the command's own among them", ["devices", "--tr"], ["--tree"]],
  ["devices", ["-s", "SOCKET", "map", "0000:8"], ["0000:83:00.0", "0000:84:00.0"]],
  ["devices as lspci has them", ["-s", "SOCKET", "reserved", "83"], ["83:00.0"]],
  ["what an option's value may be", ["devices", "--state", "h"], ["handed-over", "held"]],
  ["nothing of a value that may be anything", ["-s", "SOCKET", "check", "-m", "0000:8"], []],
  ["IO address spaces", ["-s", "SOCKET", "check", "--ioas", ""], []],
  ["what it may be in one word with the option", ["devices", "--json=s"], ["--json=short"]],
  ["columns", ["devices", "-o", "gr"], ["group"]],
  ["columns behind others", ["contexts", "--output", "lease,de"], ["lease,devices"]],
  ["columns of a fleet's question", ["fleet", "--from", "/x", "hosts", "-o", "d"], ["devices", "digest"]],
  ["no columns where there is no table", ["status", "-o", ""], []],
  ["events", ["watch", "--event", "DEVICE_A"], ["DEVICE_ADDED", "DEVICE_ATTACHED"]],
  ["what has a schema, without a daemon too", ["-s", "/nowhere", "schema", "RE"], ["RESTARTED"]],
  ["contexts", ["-s", "SOCKET", "hold", "--context", "def"], ["default"]],
  ["machines", ["check", "--machine", "m"], ["microvm"]],
  ["a fleet's questions", ["fleet", "o"], ["outliers"]],
  ["methods", ["-s", "SOCKET", "call", "query-host"], ["query-host-profile"]],
  ["nothing where there is no daemon", ["-s", "/nowhere", "map", "0000:8"], []],
])("knows %s", async (_what, words, expected) => {
  const given = words.map((word) => (word === "SOCKET" ? daemon.socket : word));
  const { stdout } = await iovactl(["complete", "--", ...given]);
  expect(stdout.split("\n").filter((line) => line !== "")).toEqual(expected);
});

it("completes in a real bash, devices' names with their colons among it", async () => {
  const bash = new Terminal("bash --norc --noprofile -i", env());
  try {
    bash.type("source <(iovactl completion bash); echo sour''ced\n");
    await bash.until(/sourced/);
    bash.type(`iovactl -s ${daemon.socket} reserved 0000:83\t`);
    await bash.until(/0000:83:00\.0 /);
    bash.type("\x15iovactl devices --tr\t");
    await bash.until(/--tree /);
    bash.type("\x15iovactl --json=pr\t");
    await bash.until(/--json=pretty /);
  } finally {
    bash.kill();
  }
});

it.skipIf(!has("zsh"))("completes in a real zsh", async () => {
  const zsh = new Terminal("zsh -f -i", env());
  try {
    zsh.type("autoload -U compinit; compinit -u; source <(iovactl completion zsh); echo sour''ced\n");
    await zsh.until(/\nsourced/);
    zsh.type(`iovactl -s ${daemon.socket} reserved 0000:83\t`);
    await zsh.until(/0000:83:00\.0 /);
  } finally {
    zsh.kill();
  }
});

it.skipIf(!has("fish"))("completes in a real fish", () => {
  const completed = (line: string) => {
    const script = `iovactl completion fish | source; complete -C "iovactl ${line}"`;
    const options = { env: { ...process.env, ...env() }, encoding: "utf8", cwd: directory } as const;
    return spawnSync("fish", ["-c", script], options).stdout.trim().split("\n");
  };
  expect(completed(`-s ${daemon.socket} map 0000:8`)).toEqual(["0000:83:00.0", "0000:84:00.0"]);
  // A file, where nothing else is known.
  expect(completed("report iova")).toEqual(["iovactl"]);
});

it("names the shells that there are", async () => {
  expect((await iovactl(["completion", "csh"])).stderr).toContain("bash, zsh, fish");
});
