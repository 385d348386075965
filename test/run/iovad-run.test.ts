import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { constants, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Client, DEFAULT_SOCKET } from "../../src/client/index.ts";
import { UsageError } from "../../src/command-line.ts";
import { parseOptions } from "../../src/run/options.ts";
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
  return startWith(process.env, "--socket", daemon.path, ...args);
}

function startWith(env: NodeJS.ProcessEnv, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [MAIN, ...args], { env, stdio: ["pipe", "pipe", "pipe"] });
  children.push(child);
  return child;
}

/** Runs to the end. */
const run = (...args: string[]) => finish(start(...args));

async function finish(child: ChildProcess) {
  let [stdout, stderr] = ["", ""];
  child.stdout?.on("data", (chunk) => (stdout += chunk));
  child.stderr?.on("data", (chunk) => (stderr += chunk));
  const [status] = await once(child, "close");
  return { status, stdout, stderr };
}

function linesOf(child: ChildProcess): AsyncIterator<string> {
  if (!child.stdout) throw new Error("no stdout");
  return createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}

const firstLine = async (child: ChildProcess): Promise<string> => (await linesOf(child).next()).value;

/** As in proc(5): "T" is stopped, "gone" one that there is not. */
function stateOf(pid: number): string {
  try {
    return /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1] ?? "";
  } catch {
    return "gone";
  }
}

/** Whether a process has a TCP socket that listens. */
function listens(pid: number): boolean {
  const listening = readFileSync(`/proc/${pid}/net/tcp`, "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .flatMap(([, , , state, , , , , , inode]) => (state === "0A" ? [`socket:[${inode}]`] : []));
  return openFiles(pid).some((file) => listening.includes(file));
}

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

/** The next lines. */
async function take(lines: Interface, count: number): Promise<string[]> {
  const taken: string[] = [];
  while (taken.length < count) taken.push((await once(lines, "line"))[0]);
  return taken;
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

  it("takes a device as lspci prints it for the same as with its domain", async () => {
    const { status, stdout } = await run(
      ...["--device", "01:00.0", "--device", GPU, "--"],
      ...["echo", `{device:${NIC}}`, "{device:01:00.0}", "{device:02:00.0}"],
    );
    expect({ status, stdout }).toEqual({ status: 0, stdout: "4 4 5\n" });
    expect(daemon.requests.map(([, params]) => params)).toMatchObject([
      {},
      {},
      { device: NIC },
      { device: GPU },
    ]);
  });

  it.skipIf(existsSync(DEFAULT_SOCKET))(
    "finds the daemon that its user has started, where the host has none",
    async () => {
      const directory = mkdtempSync(join(tmpdir(), "iovad-run-"));
      symlinkSync(daemon.path, join(directory, "iovad.sock"));
      const env = { ...process.env, XDG_RUNTIME_DIR: directory };
      expect(await finish(startWith(env, "--", "true"))).toMatchObject({ status: 0, stderr: "" });
      expect(daemon.requests).toHaveLength(2);
      rmSync(directory, { recursive: true });
    },
  );

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

  it("passes signals on to the command and goes on until that has ended", async () => {
    const signals = [
      ...["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "ALRM", "VTALRM"],
      ...["PROF", "IO", "PWR", "STKFLT", "XCPU", "URG", "WINCH"],
    ].map((name) => `SIG${name}` as NodeJS.Signals);
    // What a shell may not name in a trap it has a number for.
    const traps = signals.map((name) => `trap 'echo got ${name}; n=$((n + 1))' ${constants.signals[name]}`);
    // A shell that waits sees to its traps at once.
    const rest = `n=0; echo ready; until [ $n = ${signals.length} ]; do sleep 0.1 & wait $!; done; exit 7`;
    const child = start("--", "sh", "-c", [...traps, rest].join("; "));
    const output = linesOf(child);
    expect((await output.next()).value).toBe("ready");
    for (const name of signals) {
      child.kill(name);
      expect((await output.next()).value).toBe(`got ${name}`);
    }
    const [status] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
    expect(status).toBe(7);
  });

  it("stops with the command when it is to, and continues with it", async () => {
    const child = start("--", "sh", "-c", "echo $$; exec sleep 60");
    const pids = [child.pid as number, Number(await firstLine(child))];
    for (const _twice of [1, 2]) {
      child.kill("SIGTSTP");
      while (pids.some((pid) => stateOf(pid) !== "T")) await nextTurn();
      expect(daemon.connections).toBe(1);
      child.kill("SIGCONT");
      while (pids.some((pid) => stateOf(pid) === "T")) await nextTurn();
    }
    child.kill("SIGTERM");
    const [status] = await once(child, "exit");
    expect(status).toBe(128 + constants.signals.SIGTERM);
  });

  it("stops also when another signal comes in between", async () => {
    const child = start("--", "sh", "-c", "echo $$; exec sleep 60");
    const pids = [child.pid as number, Number(await firstLine(child))];
    child.kill("SIGTSTP");
    child.kill("SIGWINCH");
    while (pids.some((pid) => stateOf(pid) !== "T")) await nextTurn();
    child.kill("SIGCONT");
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([128 + constants.signals.SIGTERM, null]);
  });

  it("stops also with a command that would rather not", async () => {
    const child = start("--", "sh", "-c", "trap '' TSTP; echo $$; while :; do sleep 0.1; done");
    const command = Number(await firstLine(child));
    child.kill("SIGTSTP");
    while (stateOf(command) !== "T" || stateOf(child.pid as number) !== "T") await nextTurn();
    child.kill("SIGCONT");
    while (stateOf(command) === "T") await nextTurn();
    child.kill("SIGTERM");
    await once(child, "exit");
  });

  it.each([
    ["SIGTERM", 143],
    ["SIGUSR2", 140],
  ] as const)("ends by %s while it has no command yet", async (signal, status) => {
    daemon.isMute = true;
    const child = start("--device", NIC, "--", "true");
    while (daemon.requests.length === 0) await nextTurn();
    child.kill("SIGWINCH");
    child.kill(signal);
    expect(await once(child, "exit")).toEqual([status, null]);
    await left();
  });

  it("opens no debugger for SIGUSR1, with a command or without", async () => {
    const child = start("--", "sh", "-c", "trap 'echo got it' USR1; echo ready; while :; do sleep 0.1; done");
    const output = linesOf(child);
    expect((await output.next()).value).toBe("ready");
    for (const _each of [1, 2, 3]) {
      child.kill("SIGUSR1");
      expect((await output.next()).value).toBe("got it");
    }
    expect(listens(child.pid as number)).toBe(false);
    // Which ends the command, too.
    child.kill("SIGTERM");
    await once(child, "exit");
  });

  it("keeps its lease when iovad is restarted, and the command goes on", async () => {
    const child = start("--context", "vm7", "--", "sh", "-c", "echo ready; read line; exit 5");
    const errors = child.stderr && createInterface({ input: child.stderr });
    expect(await firstLine(child)).toBe("ready");
    const said = once(errors as NonNullable<typeof errors>, "line");
    daemon.hangUp();
    expect((await said)[0]).toBe(
      `iovad-run: ${daemon.path}: iovad has closed the connection; the command goes on, and the lease of context "vm7" when it is back`,
    );
    while (daemon.requests.at(-1)?.[0] !== "resume-context") await nextTurn();
    expect(daemon.requests.at(-1)).toEqual(["resume-context", { context: "vm7" }]);
    child.stdin?.end("go\n");
    expect(await once(child, "exit")).toEqual([5, null]);
  });

  it("goes on with the command when iovad has lost the context, and says that the lease has ended", async () => {
    daemon.isForgetful = true;
    const child = start("--context", "vm7", "--", "sh", "-c", "echo ready; read line; exit 5");
    const errors = child.stderr && createInterface({ input: child.stderr });
    expect(await firstLine(child)).toBe("ready");
    daemon.hangUp();
    const [, last] = await take(errors as NonNullable<typeof errors>, 2);
    expect(last).toBe(
      `iovad-run: there is no such context; the lease of context "vm7" has ended, the command goes on`,
    );
    child.stdin?.end("go\n");
    expect(await once(child, "exit")).toEqual([5, null]);
  });

  it("goes on with the command when iovad lets it in no more, and says that the lease ends", async () => {
    const child = start("--context", "vm7", "--", "sh", "-c", "echo ready; read line; exit 5");
    const errors = child.stderr && createInterface({ input: child.stderr });
    expect(await firstLine(child)).toBe("ready");
    const error = { code: -32010, message: "you have no role", data: { class: "PermissionDenied" } };
    daemon.greeting = JSON.stringify({ jsonrpc: "2.0", id: null, error });
    daemon.hangUp();
    const [, last] = await take(errors as NonNullable<typeof errors>, 2);
    expect(last).toBe(
      `iovad-run: PermissionDenied: you have no role; the lease of context "vm7" ends, the command goes on`,
    );
    child.stdin?.end("go\n");
    expect(await once(child, "exit")).toEqual([5, null]);
  });

  it("is not ended by readers of its output that go away", async () => {
    const child = start("--", "sh", "-c", "echo ready; read line; exit 5");
    expect(await firstLine(child)).toBe("ready");
    child.stderr?.destroy();
    daemon.hangUp();
    await left();
    child.stdin?.end("go\n");
    expect(await once(child, "exit")).toEqual([5, null]);
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

  it.each([
    ["ENOTDIR", "/dev/null/command"],
    ["ENAMETOOLONG", `/${"a".repeat(5000)}`],
    ["ELOOP", "LINK"],
  ])("tells of a command that cannot be run also where Node.js throws: %s", async (errno, path) => {
    const link = join(dirname(daemon.path), "link");
    symlinkSync("link", link);
    const command = path.replace("LINK", link);
    const { status, stderr } = await run("--device", NIC, "--", command);
    expect({ status, stderr }).toEqual({ status: 126, stderr: `iovad-run: ${command}: ${errno}\n` });
    await left();
  });

  it.each(["KILL", "SIGTERM"])("has the command die with it when that is asked for: %s", async (signal) => {
    const script = "exec sleep 60";
    const child = start("--pdeathsig", signal, "--device", NIC, "--", "sh", "-c", `echo $$; ${script}`);
    const command = Number(await firstLine(child));
    expect(readlinkSync(`/proc/${command}/fd/4`)).toBe(CDEVS[0]);
    child.kill("SIGKILL");
    while (!["Z", "gone"].includes(stateOf(command))) await nextTurn();
    await left();
  });

  it("tells of a command that cannot be run as shells do also when it is to die with it", async () => {
    const { status, stderr } = await run("--pdeathsig", "TERM", "--", "/nowhere/at-all");
    expect(stderr).toMatch(/^iovad-run: [^\n]*\/nowhere\/at-all[^\n]*\n$/);
    expect(status).toBe(127);
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
    ["a signal that there is none", ["--pdeathsig", "SIGNAL", "--", "true"], "name of a signal"],
    ["a device given twice", ["--device", NIC, "--device", NIC, "--", "true"], "given twice"],
    [
      "one that is the same without its domain",
      ["--device", "01:00.0", "--device", NIC, "--", "true"],
      `${NIC} is given twice`,
    ],
  ])("refuses %s", (_what, args, message) => {
    expect(() => parseOptions(args, process)).toThrow(
      expect.objectContaining({ name: UsageError.name, message: expect.stringContaining(message) }),
    );
  });

  it("refuses with one line and status 2, and asks for nothing", async () => {
    const { status, stdout, stderr } = await run("--device", NIC);
    expect(stderr).toMatch(/^iovad-run: [^\n]*no command[^\n]*\n$/);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(daemon.requests).toEqual([]);
  });
});

describe("an installation without koffi", () => {
  /** The built package with nothing beside it but what it cannot do without. */
  const directory = mkdtempSync(join(tmpdir(), "iovad-run-"));
  beforeAll(() => {
    for (const path of ["dist/run/main.js", "dist/chunks/clients", "package.json"]) {
      cpSync(new URL(`../../${path}`, import.meta.url), join(directory, path), { recursive: true });
    }
  });
  afterAll(() => rmSync(directory, { recursive: true }));

  function runWithout(...args: string[]) {
    const main = join(directory, "dist/run/main.js");
    return spawnSync(process.execPath, [main, ...args], { encoding: "utf8" });
  }

  it("prints its help and its version", () => {
    expect(runWithout("--help")).toMatchObject({ status: 0, stderr: "" });
    expect(runWithout("--version")).toMatchObject({ status: 0, stderr: "" });
  });

  it("says in one line what is missing, and runs nothing", () => {
    const { status, stdout, stderr } = runWithout("--socket", daemon.path, "--", "echo", "ran");
    expect(stderr).toMatch(/^iovad-run: [^\n]*npm install koffi[^\n]*\n$/);
    expect({ status, stdout }).toEqual({ status: 1, stdout: "" });
  });
});

describe("what the daemon refuses", () => {
  it("is one line with the class, status 1, and no context is left", async () => {
    const real = await Daemon.start({ topology: { devices: [] } });
    const args = [MAIN, "--socket", real.socket, "--device", NIC, "--", "true"];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(stderr).toMatch(/^iovad-run: DeviceNotFound: [^\n]*\n$/);
    expect(status).toBe(1);
    await onlyDefault(await real.client());
    expect(await real.stop()).toBe(0);
  });

  it("is an answer that lacks its descriptors", async () => {
    daemon.isStingy = true;
    const { status, stderr } = await run("--device", NIC, "--", "true");
    expect(stderr).toBe("iovad-run: iovad has answered hand-over-context with 0 descriptors instead of 1\n");
    expect(status).toBe(1);
    await left();
  });

  it("is a daemon that hangs up before it has answered", async () => {
    daemon.isMute = true;
    const child = start("--device", NIC, "--", "true");
    let stderr = "";
    child.stderr?.on("data", (chunk) => (stderr += chunk));
    while (daemon.requests.length === 0) await nextTurn();
    daemon.hangUp();
    const [status] = await once(child, "close");
    expect(stderr).toBe(`iovad-run: ${daemon.path}: iovad has closed the connection\n`);
    expect(status).toBe(1);
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
    ["what is not even JSON", "220 ready", "is not iovad"],
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
    expect(stderr).toBe(
      `iovad-run: ${daemon.path}.missing: ENOENT: there is no such socket; start iovad, or say where it listens\n`,
    );
    expect(status).toBe(1);
  });
});

describe("with a simulated host", () => {
  it("runs the command with placeholders, says so, and leaves nothing behind", async () => {
    const device = "0000:00:05.0";
    const real = await Daemon.start({
      topology: { iommus: [{ name: "dmar0" }], devices: [{ device, iommu: "dmar0", driver: "vfio-pci" }] },
    });
    const show = "readlink /proc/$$/fd/3 /proc/$$/fd/4";
    const args = [MAIN, "--socket", real.socket, "--device", device, "--", "sh", "-c", show];
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
    expect(stdout).toMatch(/^\S+!dev!iommu \(deleted\)\n\S+!dev!vfio!devices!vfio0 \(deleted\)\n$/);
    expect(stderr).toMatch(/^iovad-run: iovad simulates its host: [^\n]*\n$/);
    expect(status).toBe(0);
    const client = await real.client();
    await onlyDefault(client);
    expect((await client.call("query-devices")).devices).toMatchObject([{ device, state: "observed" }]);
    expect(await real.stop()).toBe(0);
  });
});

/** Until the lease has ended. */
async function onlyDefault(client: Client): Promise<void> {
  const names = async () => (await client.call("query-contexts")).contexts.map(({ context }) => context);
  while ((await names()).length > 1);
  expect(await names()).toEqual(["default"]);
}
