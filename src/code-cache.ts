#!/usr/bin/env node
/**
 * Writes beside the daemon's bundle what V8 makes of it on this machine, for the starts to come, of each kind in a process
 * of its own. `npm run build` runs it, and the Debian package when it is installed. A daemon starts and answers once, and
 * under systemd a restart is rehearsed, so that what a start needs is in the cache and what it does not need is not.
 */
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { complain } from "./command-line.ts";
import { cachePath, compileCopy, compileDaemon, loadDaemon } from "./compiled.ts";
import { untuneHeap } from "./heap.ts";
import { STARTS, type Start } from "./start.ts";

type Daemon = ReturnType<typeof loadDaemon>;

const require = createRequire(import.meta.url);

const [, program = "", asked] = process.argv;
const start = STARTS.find((each) => each === asked);
if (start) await make(start);
else if (asked !== undefined) fail(`takes ${STARTS.join(", ")}, or nothing for all of them`, 2);
else for (const each of STARTS) makeApart(each);

/** V8 knows a script's functions from all that has run in a process. */
function makeApart(start: Start): void {
  const args = [...process.execArgv, program, start];
  const { error, status } = spawnSync(process.execPath, args, { stdio: "inherit" });
  if (error) fail(error.message, 1);
  else if (status !== 0) process.exitCode = 1;
}

function fail(message: string, status: number): void {
  complain("iovad", `the code cache ${message}`);
  process.exitCode = status;
}

async function make(start: Start): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "iovad-code-cache-"));
  process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
  const file = (name: string, content: unknown) => {
    writeFileSync(join(directory, name), JSON.stringify(content));
    return join(directory, name);
  };
  const msi = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
  const device = { device: "0000:00:05.0", iommu: "dmar0", driver: "vfio-pci", regions: [msi] };
  const host = { iommus: [{ name: "dmar0" }], devices: [device] };
  const simulate = start === "simulated" ? ["--simulate", file("topology", host)] : [];
  // Whoever installs packages is not told that this daemon is ready.
  delete process.env.NOTIFY_SOCKET;
  const path = cachePath(start);
  const script = compileDaemon();
  const daemon = loadDaemon(script, require);
  const socket = join(directory, "socket");
  await daemon.main(["--socket", socket, "--config", file("config", { "log-level": "error" }), ...simulate]);
  await answer(socket);
  if (start === "supervised") {
    await rehearseRestart(daemon, host, device.device).catch(({ message }) => {
      complain("iovad", `a restart could not be rehearsed, and will be slower: ${message}`);
    });
  }
  untuneHeap();
  const cache = script.createCachedData();
  if (cachePath(start) !== path || compileDaemon(cache).cachedDataRejected) {
    complain("iovad", "this Node.js takes no code cache; the daemon works, and starts slower");
  } else {
    keep(path, cache);
  }
  process.kill(process.pid, "SIGTERM");
}

/** Greeting and answer. */
async function answer(socket: string): Promise<void> {
  const client = connect(socket);
  client.write('{"jsonrpc":"2.0","id":1,"method":"query-devices"}\n');
  let text = "";
  while (text.split("\n").length < 3) text += (await once(client, "data"))[0];
  client.destroy();
}

/** V8 takes what it reads there on trust: it is either all there or not there at all, also when two make it at once. */
function keep(path: string, cache: Buffer): void {
  const passing = `${path}.${process.pid}`;
  try {
    writeFileSync(passing, cache, { flush: true });
    renameSync(passing, path);
  } catch (error) {
    rmSync(passing, { force: true });
    const { message } = error as Error;
    complain("iovad", `no code cache; the daemon works, and starts slower: ${message}`);
  }
}

/**
 * After a life that a copy of the daemon has had, on a simulated host that is the copy's: of neither is anything in the cache.
 * Rejects where native code cannot be loaded.
 */
async function rehearseRestart(daemon: Daemon, host: unknown, device: string): Promise<void> {
  const copy = loadDaemon(compileCopy(), require);
  const left = await copy.leave(host, device);
  // The daemon knows the errors of the copy's kernel as its own.
  Object.setPrototypeOf(copy.SystemCallError.prototype, daemon.SystemCallError.prototype);
  await daemon.rehearse(left);
}
