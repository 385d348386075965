import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { watch } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";

// Where it is set, an empty Node.js reads a hundred certificates first, and is no reference for anything.
delete process.env.NODE_EXTRA_CA_CERTS;

const here = (path) => new URL(path, import.meta.url).pathname;

const TOPOLOGY = {
  iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } }],
  devices: [
    {
      device: "0000:00:05.0",
      iommu: "dmar0",
      driver: "vfio-pci",
      regions: [{ start: "0xfee00000", last: "0xfeefffff", type: "msi" }],
    },
  ],
};

/** A server process that is going to listen on a socket of its own. */
function launch(args) {
  const directory = mkdtempSync(join(tmpdir(), "iovad-bench-"));
  const path = join(directory, "socket");
  const child = spawn(process.execPath, args(path, directory), { stdio: ["ignore", "ignore", "pipe"] });
  const stop = async () => {
    child.kill("SIGTERM");
    await once(child, "exit");
    rmSync(directory, { recursive: true, force: true });
  };
  return { child, pid: child.pid, path, stop };
}

/** The same, once it listens: {pid, path, stop()}. */
async function start(args) {
  const { child, ...server } = launch(args);
  let last = "";
  for await (const line of createInterface({ input: child.stderr })) {
    last = line;
    if (line.includes('"listening"')) break;
  }
  if (!last.includes('"listening"')) throw new Error(`the server has ended: ${last}`);
  child.stderr.resume();
  return server;
}

export const startEcho = () => start((path) => [here("echo-server.mjs"), path]);

/**
 * The built daemon on a simulated host, by default with one device behind a 39-bit IOMMU; with null, on this host itself.
 * `options`: a list, or what makes one of the directory that the socket is in.
 */
export const startDaemon = (of = {}) => start(daemonArgs(of));

/** The same, and nobody waits until it listens. */
export function launchDaemon(of = {}) {
  const { child, ...server } = launch(daemonArgs(of));
  child.stderr.resume();
  return server;
}

const daemonArgs =
  ({ topology = TOPOLOGY, options = [] }) =>
  (path, directory) => {
    const file = join(directory, "topology.json");
    writeFileSync(file, JSON.stringify(topology));
    const more = typeof options === "function" ? options(directory) : options;
    const simulate = topology === null ? [] : ["--simulate", file];
    return [here("../../dist/main.cjs"), "--socket", path, ...simulate, ...more];
  };

/** A connection to who will soon listen there: as soon as the socket is there. */
export async function openSoon(path) {
  for await (const { filename } of watch(dirname(path))) if (filename === basename(path)) return open(path);
}

/** A connection that sends text and resolves when `lines` more lines have come back. */
export async function open(path) {
  const socket = connect(path);
  await once(socket, "connect");
  let missing = 0;
  let done = () => {};
  let text = "";
  let keeping = false;
  socket.on("data", (chunk) => {
    if (keeping) text += chunk;
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) missing--;
    if (missing <= 0) done(text);
  });
  const exchange = (bytes, lines, keep = false) =>
    new Promise((resolve) => {
      missing += lines;
      keeping = keep;
      text = "";
      done = resolve;
      if (missing <= 0) done(text);
      else socket.write(bytes);
    });
  return { exchange, end: () => socket.end(), socket };
}

export const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
