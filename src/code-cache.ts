#!/usr/bin/env node
/**
 * Writes beside the daemon's bundle what V8 makes of it on this machine, for the starts to come: with `--simulate` those that
 * serve a simulated host, otherwise those that serve this one. `npm run build` runs both, and the Debian package the latter
 * when it is installed. A daemon serves the host and answers once, and for this host a restart is rehearsed, so that what
 * a start needs is in the cache and what it does not need is not.
 */
import { once } from "node:events";
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backendOf, cachePath, compileCopy, compileDaemon, loadDaemon } from "./compiled.ts";
import { untuneHeap } from "./heap.ts";

const directory = mkdtempSync(join(tmpdir(), "iovad-code-cache-"));
process.on("exit", () => rmSync(directory, { recursive: true, force: true }));
const topology = join(directory, "topology.json");
const socket = join(directory, "socket");
const msi = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
const device = { device: "0000:00:05.0", iommu: "dmar0", driver: "vfio-pci", regions: [msi] };
const host = { iommus: [{ name: "dmar0" }], devices: [device] };
writeFileSync(topology, JSON.stringify(host));

// Whoever installs packages is not told that this daemon is ready.
delete process.env.NOTIFY_SOCKET;
const backend = backendOf(process.argv.slice(2));
const path = cachePath(backend);
const script = compileDaemon();
const daemon = loadDaemon(script);
const simulate = backend === "simulated" ? ["--simulate", topology] : [];
await daemon.main([...simulate, "--socket", socket, "--log-level", "error"]);
await answer();
if (backend === "linux") {
  await rehearseRestart().catch(({ message }) => {
    process.stderr.write(`iovad: a restart could not be rehearsed, and will be slower: ${message}\n`);
  });
}
untuneHeap();
const cache = script.createCachedData();
if (cachePath(backend) !== path || compileDaemon(cache).cachedDataRejected) {
  process.stderr.write("iovad: this Node.js takes no code cache; the daemon works, and starts slower\n");
} else {
  keep(cache);
}
process.kill(process.pid, "SIGTERM");

/** Greeting and answer. */
async function answer(): Promise<void> {
  const client = connect(socket);
  client.write('{"jsonrpc":"2.0","id":1,"method":"query-devices"}\n');
  let text = "";
  while (text.split("\n").length < 3) text += (await once(client, "data"))[0];
  client.destroy();
}

/** V8 takes what it reads there on trust: it is either all there or not there at all, also when two make it at once. */
function keep(cache: Buffer): void {
  const passing = `${path}.${process.pid}`;
  try {
    writeFileSync(passing, cache, { flush: true });
    renameSync(passing, path);
  } catch (error) {
    rmSync(passing, { force: true });
    const { message } = error as Error;
    process.stderr.write(`iovad: no code cache; the daemon works, and starts slower: ${message}\n`);
  }
}

/**
 * After a life that a copy of the daemon has had, on a simulated host that is the copy's: of neither is anything in the cache.
 * Rejects where native code cannot be loaded.
 */
async function rehearseRestart(): Promise<void> {
  const copy = loadDaemon(compileCopy());
  const left = await copy.leave(host, device.device);
  // The daemon knows the errors of the copy's kernel as its own.
  Object.setPrototypeOf(copy.SystemCallError.prototype, daemon.SystemCallError.prototype);
  await daemon.rehearse(left);
}
