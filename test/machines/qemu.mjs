// QEMU, started paused and without a guest's code ever run: what it says of its memory map.
import { execFileSync, spawn } from "node:child_process";

/** After that a QEMU hangs. */
const PATIENCE = 120_000;

/** A QEMU of a Debian suite: where it is, its version, and which machine types it has. */
export function unpackedQemu(suite) {
  const fetch = new URL("./debian-qemu.sh", import.meta.url).pathname;
  const folder = execFileSync(fetch, [suite], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  }).trim();
  const run = (target, ...args) =>
    execFileSync(`${folder}/qemu-system-${target}`, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
  const [, version] = /version (\d+\.\d+)\./.exec(run("x86_64", "--version")) ?? [];
  const machines = ["x86_64", "aarch64"].flatMap((target) =>
    run(target, "-machine", "help")
      .split("\n")
      .map((line) => line.split(" ")[0]),
  );
  return { suite, folder, version, machines: new Set(machines) };
}

/**
 * Starts one, asks it, and ends it. Its answers are texts of the human monitor, and properties of objects where they
 * exist; undefined when QEMU has refused the command line, and then `stderr` says why.
 */
export async function ask({ folder }, target, args, { commands, properties }) {
  const requests = [
    { execute: "qmp_capabilities" },
    ...commands.map((line) => ({ execute: "human-monitor-command", arguments: { "command-line": line } })),
    ...properties.map(([path, property]) => ({ execute: "qom-get", arguments: { path, property } })),
    { execute: "quit" },
  ];
  const paused = [
    "-S",
    "-nodefaults",
    "-no-user-config",
    "-display",
    "none",
    "-accel",
    "tcg",
    "-qmp",
    "stdio",
  ];
  const child = spawn("nice", ["-n", "19", `${folder}/qemu-system-${target}`, ...paused, ...args]);
  const hung = setTimeout(() => child.kill("SIGKILL"), PATIENCE);
  // A QEMU that has refused its command line reads nothing.
  child.stdin.on("error", () => {});
  child.stdin.end(requests.map((request) => `${JSON.stringify(request)}\n`).join(""));
  const [stdout, stderr] = await Promise.all([whole(child.stdout), whole(child.stderr), ended(child)]);
  clearTimeout(hung);
  const answers = stdout
    .split("\n")
    .filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line))
    .filter((message) => "return" in message || "error" in message)
    .slice(1)
    .map((answer) => answer.return);
  return {
    texts: answers.length < commands.length ? undefined : answers.slice(0, commands.length),
    values: answers.slice(commands.length, commands.length + properties.length),
    stderr: stderr.replace(/^.*warning: .*\n/gm, "").trim(),
  };
}

async function whole(stream) {
  let text = "";
  stream.setEncoding("utf8");
  for await (const piece of stream) text += piece;
  return text;
}

function ended(child) {
  return new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
}
