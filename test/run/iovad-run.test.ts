import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Daemon } from "../daemon/daemon.ts";
import { CDEVS, FakeDaemon, IOMMUFD } from "./fake-daemon.ts";

/** The built command. */
const MAIN = new URL("../../dist/run/main.js", import.meta.url).pathname;
const NIC = "0000:01:00.0";
const GPU = "0000:02:00.0";

let daemon: FakeDaemon;
const children: ChildProcess[] = [];
beforeEach(async () => {
  daemon = await FakeDaemon.start();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  daemon.stop();
});

/** iovad-run under way. */
function start(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [MAIN, "--socket", daemon.path, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  children.push(child);
  return child;
}

/** Runs to the end. */
async function run(...args: string[]) {
  const child = start(...args);
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (chunk) => (stdout += chunk));
  child.stderr?.on("data", (chunk) => (stderr += chunk));
  const [status] = await once(child, "close");
  return { status, stdout, stderr };
}

const firstLine = async (child: ChildProcess): Promise<string> => {
  if (!child.stdout) throw new Error("no stdout");
  const [line] = await once(createInterface({ input: child.stdout }), "line");
  return line;
};

const left = async () => {
  while (daemon.connections > 0) await nextTurn();
};

/** What a process has open; without what it closes meanwhile. */
function openFiles(pid: number): string[] {
  const directory = `/proc/${pid}/fd`;
  return readdirSync(directory).flatMap((fd) => {
    try {
      return [readlinkSync(`${directory}/${fd}`)];
    } catch {
      return [];
    }
  });
}

describe("iovad-run", () => {
  it("gives the command the descriptors, under the numbers that it puts for the placeholders", async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the shell's
    const show = 'for fd in "$@"; do echo "$fd $(readlink "/proc/$$/fd/${fd#*=}")"; done';
    const { status, stdout, stderr } = await run(
      ...["--device", NIC, "--device", GPU, "--", "sh", "-c", show, "sh"],
      ...["{iommufd}", `nic={device:${NIC}}`, `{device:${GPU}}`, "{iommufd}"],
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const [nic, gpu] = CDEVS;
    expect(stdout).toBe(`3 ${IOMMUFD}\nnic=4 ${nic}\n5 ${gpu}\n3 ${IOMMUFD}\n`);
  });

  it("asks for a leased context and for the devices, in their order", async () => {
    await run("--device", NIC, "--device", GPU, "--context", "vm7", "--", "true");
    expect(daemon.requests).toEqual([
      ["create-context", { context: "vm7", lease: "connection" }],
      ["hand-over-context", { context: "vm7" }],
      ["hand-over-device", { device: NIC, context: "vm7" }],
      ["hand-over-device", { device: GPU, context: "vm7" }],
    ]);
  });

  it("names the context after itself, and passes on how memory is to be accounted", async () => {
    const child = start("--rlimit-mode", "--", "true");
    await once(child, "close");
    expect(daemon.requests[0]).toEqual([
      "create-context",
      { context: `run-${child.pid}`, lease: "connection", "rlimit-mode": true },
    ]);
  });

  it("keeps the lease until the command has ended, and no descriptor of what it passed on", async () => {
    const child = start("--device", NIC, "--", "sh", "-c", "echo ready; exec sleep 60");
    expect(await firstLine(child)).toBe("ready");
    expect(daemon.connections).toBe(1);
    // The command may be faster than what closes them.
    while (openFiles(child.pid as number).includes(CDEVS[0] as string)) await nextTurn();
    child.kill("SIGTERM");
    await once(child, "exit");
    await left();
  });

  it("ends the lease when it is killed, although the command goes on", async () => {
    const child = start("--device", NIC, "--", "sh", "-c", "echo $$; exec sleep 60");
    const command = Number(await firstLine(child));
    child.kill("SIGKILL");
    await left();
    expect(readlinkSync(`/proc/${command}/fd/4`)).toBe(CDEVS[0]);
    process.kill(command, "SIGKILL");
  });

  it.each([
    ["an exit status", "exit 3", 3],
    ["success", "exit 0", 0],
    ["the signal that killed it", "kill -KILL $$", 137],
  ])("ends with the command's %s", async (_what, script, status) => {
    expect(await run("--", "sh", "-c", script)).toEqual({ status, stdout: "", stderr: "" });
    await left();
  });

  it.each([
    ["SIGTERM", "TERM"],
    ["SIGINT", "INT"],
    ["SIGHUP", "HUP"],
  ] as const)("passes %s on to the command and goes on until that has ended", async (signal, name) => {
    const script = `trap 'echo got it; exit 7' ${name}; echo ready; while :; do sleep 0.1; done`;
    const child = start("--", "sh", "-c", script);
    if (!child.stdout) throw new Error("no stdout");
    const output = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    expect((await output.next()).value).toBe("ready");
    child.kill(signal);
    expect((await output.next()).value).toBe("got it");
    const [status] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
    expect(status).toBe(7);
  });

  it("tells a command that does not exist from one that cannot be run, as shells do", async () => {
    expect(await run("--device", NIC, "--", "/nowhere/at-all")).toEqual({
      status: 127,
      stdout: "",
      stderr: "iovad-run: /nowhere/at-all: ENOENT\n",
    });
    const file = join(dirname(daemon.path), "not-executable");
    writeFileSync(file, "");
    chmodSync(file, 0o644);
    expect(await run("--", file)).toMatchObject({ status: 126, stderr: `iovad-run: ${file}: EACCES\n` });
    await left();
  });

  it("prints its help and its version", async () => {
    expect(await run("--help")).toMatchObject({ status: 0, stdout: expect.stringContaining("{iommufd}") });
    expect(await run("--version")).toEqual({ status: 0, stdout: "iovad-run 0.2.0\n", stderr: "" });
    expect(daemon.requests).toEqual([]);
  });

  it.each([
    ["no command", ["--device", NIC], "no command"],
    ["an empty command", ["--"], "no command"],
    ["an option that does not exist", ["--devise", NIC, "--", "true"], "--devise"],
    ["an argument outside the command", ["true"], "true"],
    ["a placeholder without its device", ["--", "echo", `fd={device:${NIC}}`], `no --device ${NIC}`],
    ["a device given twice", ["--device", NIC, "--device", NIC, "--", "true"], "given twice"],
  ])("refuses %s with one line and status 2, and asks for nothing", async (_what, args, message) => {
    const { status, stdout, stderr } = await run(...args);
    expect(stderr).toMatch(/^iovad-run: [^\n]*\n$/);
    expect(stderr).toContain(message);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(daemon.requests).toEqual([]);
  });
});

describe("what the daemon refuses", () => {
  it("is one line with the class, status 1, and no context is left", async () => {
    const real = await Daemon.start({
      topology: { devices: [] },
    });
    const { status, stderr } = spawnSync(
      process.execPath,
      [MAIN, "--socket", real.socket, "--device", NIC, "--", "true"],
      { encoding: "utf8" },
    );
    expect(stderr).toBe("iovad-run: NotSupported: the simulated host has no descriptors to pass\n");
    expect(status).toBe(1);
    const client = await real.client();
    const names = async () => (await client.call("query-contexts")).contexts.map(({ context }) => context);
    while ((await names()).length > 1);
    expect(await names()).toEqual(["default"]);
    expect(await real.stop()).toBe(0);
  });

  it.each([
    [
      "a client that is not let in",
      JSON.stringify({
        jsonrpc: "2.0",
        id: null,
        error: { code: -32010, message: "uid 7 has no role here", data: { class: "PermissionDenied" } },
      }),
      "PermissionDenied: uid 7 has no role here",
    ],
    ["what is no iovad", '{"QMP":{}}', "is not iovad"],
    ["what is not even JSON", "220 ready", "JSON"],
  ])("is said of %s", async (_what, greeting, message) => {
    daemon.greeting = greeting;
    const { status, stderr } = await run("--", "true");
    expect(stderr).toMatch(/^iovad-run: [^\n]*\n$/);
    expect(stderr).toContain(message);
    expect(stderr).toContain(daemon.path);
    expect(status).toBe(1);
  });

  it("is a socket that is not there: one line, status 1", async () => {
    const { status, stderr } = await run("--socket", `${daemon.path}.missing`, "--", "true");
    expect(stderr).toBe(`iovad-run: ${daemon.path}.missing: connect: ENOENT\n`);
    expect(status).toBe(1);
  });
});
