// A fleet of 10,000 hosts, in 40 classes and in 10,000, with 8 devices each, kept by a real nats-server (Debian's):
// `npm run bench -- fleet`. Goals: all read at most 4 s; fits, check and outliers at most 50 ms (40 classes) and 500 ms
// (10,000); a change seen and answered within 20 ms of its put; at most 250 MiB resident.
// Of each the processor's time stands beside it (`Cpu`): on a busy machine that is what can be compared.
// With a URL and a number behind it, it is the reader: a process of its own, so that its memory is the reader's alone.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { beThrifty } from "../../dist/ctl/fleet/thrifty.js";
import { checkAnswer, fitsAnswer } from "../../dist/fleet/answers.js";
import { Fleet } from "../../dist/fleet/fleet.js";
import { follow } from "../../dist/fleet/follow.js";
import { openStore } from "../../dist/fleet/stores/open.js";
import { checkPool } from "../../dist/plan/fleet/check.js";
import { fitsOf } from "../../dist/plan/fleet/fits.js";
import { outliersOf } from "../../dist/plan/fleet/outliers.js";
import { Pool } from "../../dist/plan/fleet/pool.js";
import { FleetWatch } from "../../dist/plan/fleet/watch.js";
import { machineWindows } from "../../dist/plan/machines.js";
import { finish } from "../../dist/ranges/steps.js";
import { digestOf } from "../../dist/rpc/canonical-json.js";
import { memoryOf } from "./process.mjs";
import { median } from "./servers.mjs";

const DEVICES = 8;
const ROUNDS = 7;
const SIDE_BY_SIDE = 256;
const FLEETS = [
  { hosts: 100, classes: 40 },
  { hosts: 1000, classes: 40 },
  { hosts: 10_000, classes: 40 },
  { hosts: 100, classes: 100 },
  { hosts: 1000, classes: 1000 },
  { hosts: 10_000, classes: 10_000 },
];
const WANTS = [{ count: 2, vendor: "0x10de", device: "0x20b5" }];
const WINDOWS = machineWindows({ type: "q35", memory: 1n << 34n, amdVcpu: false });

/** A row of figures for each fleet, milliseconds and MiB; undefined without nats-server. */
export async function benchFleet() {
  if (spawnSync("nats-server", ["--version"]).status !== 0) return undefined;
  const rows = {};
  for (const fleet of FLEETS) {
    rows[`${fleet.hosts} hosts in ${fleet.classes} classes`] = await benchOne(fleet);
  }
  return rows;
}

async function benchOne({ hosts, classes }) {
  const server = await startNats();
  try {
    const store = await openStore({ servers: [server.url], replicas: 1 });
    await fill(store, hosts, classes);
    const figures = await readerOf(server.url, store, hosts);
    await store.close();
    return figures;
  } finally {
    await server.stop();
  }
}

async function fill(store, hosts, classes) {
  let next = 0;
  const some = async () => {
    for (let n = next++; n < hosts; n = next++) {
      const profile = profileOf(n % classes);
      await store.publish(recordOf(`node-${n}`, profile.digest, n), profile, n < classes);
    }
  };
  await store.publish(recordOf("node-0", profileOf(0).digest, 0), profileOf(0), true);
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, some));
}

/** Has a process read all, and puts changes that it answers. */
async function readerOf(url, store, hosts) {
  const reader = spawn(process.execPath, [import.meta.filename, url, String(hosts)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface({ input: reader.stdout })[Symbol.asyncIterator]();
  const figures = JSON.parse((await lines.next()).value);
  const seen = [];
  for (let round = 0; round < 20; round++) {
    // Of a layout that was not there before, and that breaks what is watched.
    const profile = profileOf(1_000_000 + round);
    const began = performance.timeOrigin + performance.now();
    await store.publish(recordOf(`node-${round}`, profile.digest, round), profile, true);
    seen.push(Number((await lines.next()).value) - began);
  }
  figures.change = median(seen);
  figures.resident = memoryOf(reader.pid).most;
  reader.kill();
  return Object.fromEntries(Object.entries(figures).map(([name, value]) => [name, Number(value.toFixed(1))]));
}

/** The reader: reads all, asks each question, prints what it took; then a line for each answered change. */
async function read(url, hosts) {
  beThrifty();
  const began = performance.now();
  const before = process.cpuUsage();
  const store = await openStore({ servers: [url], replicas: 1 });
  const fleet = new Fleet();
  const watch = new FleetWatch(WINDOWS);
  let settled = false;
  for await (const change of follow(store, fleet, Date.now, new AbortController().signal)) {
    if (change.kind === "settled") {
      if (fleet.names.length !== hosts) throw new Error(`${fleet.names.length} hosts are not ${hosts}`);
      const snapshot = performance.now() - began;
      console.log(JSON.stringify({ snapshot, snapshotCpu: processorTime(before), ...questions(fleet) }));
      for (const host of fleet.hosts(Date.now())) watch.set(host);
      settled = true;
    } else if (settled && change.kind === "host") {
      const events = watch.set(fleet.host(change.host, Date.now()));
      if (events.length > 0) console.log(performance.timeOrigin + performance.now());
    }
  }
}

/** Medians, from the hosts as they are kept to an answer as JSON. */
function questions(fleet) {
  const ask = (name, question) => {
    const [times, processor] = [[], []];
    for (let round = 0; round < ROUNDS; round++) {
      const [began, before] = [performance.now(), process.cpuUsage()];
      question(new Pool(fleet.hosts(Date.now())));
      times.push(performance.now() - began);
      processor.push(processorTime(before));
    }
    return { [name]: median(times), [`${name}Cpu`]: median(processor) };
  };
  return {
    ...ask("fits", (pool) => fitsAnswer(fitsOf(pool, WINDOWS, WANTS), pool)),
    ...ask("check", (pool) => checkAnswer(checkPool(pool, { windows: WINDOWS }))),
    ...ask("outliers", (pool) => outliersOf(pool)),
  };
}

/** Milliseconds of all threads since. */
function processorTime(before) {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

/** Apertures and MSI windows of a few makers, and in each class holes of its own. */
function profileOf(n) {
  const widths = ["0x7fffffffff", "0x3fffffffffff", "0xffffffffffff", "0xfffffffffffff"];
  const lists = Array.from({ length: DEVICES }, (_, i) => {
    const own = 0x1000000000n + BigInt(n * DEVICES + i) * 0x100000n;
    return holesToRanges(
      [
        [0xfee00000n, 0xfeefffffn],
        [own, own + 0xfffffn],
      ],
      BigInt(widths[n % 4]),
    );
  });
  const common = [0xfee00000n, 0xfeefffffn];
  const all = Array.from({ length: DEVICES }, (_, i) => {
    const own = 0x1000000000n + BigInt(n * DEVICES + i) * 0x100000n;
    return [own, own + 0xfffffn];
  });
  const devices = lists.map((_, i) => ({
    ...{ device: `0000:${hex(i + 16)}:00.0`, group: i, iommu: "dmar0", "numa-node": i & 1 },
    pci: {
      ...{ vendor: "0x10de", device: "0x20b5", class: "0x030200" },
      ...{ "subsystem-vendor": "0x10de", "subsystem-device": `0x${hex(n & 0xfff).padStart(4, "0")}` },
    },
    ...{ assignable: true, available: true, exact: true, allowed: i },
  }));
  const allowed = holesToRanges([common, ...all], BigInt(widths[n % 4]));
  const basis = { exact: true, "iova-alignment": "0x1000", allowed, devices, lists };
  return { ...basis, digest: finish(digestOf(basis)) };
}

function holesToRanges(holes, last) {
  const ranges = [];
  let from = 0n;
  for (const [start, end] of holes) {
    if (start > from) ranges.push({ start: `0x${hex(from)}`, last: `0x${hex(start - 1n)}` });
    from = end + 1n;
  }
  return [...ranges, { start: `0x${hex(from)}`, last: `0x${hex(last)}` }];
}

function recordOf(host, digest, sequence) {
  const at = new Date().toISOString();
  return {
    ...{ version: 1, host, digest, instance: "00000000-0000-4000-8000-000000000000", sequence },
    ...{ published: at, heartbeat: at, interval: 3600, publisher: "00000000-0000-4000-8000-000000000001" },
  };
}

async function startNats() {
  const directory = mkdtempSync(join(tmpdir(), "iovad-bench-"));
  const server = createServer().listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  const child = spawn("nats-server", ["-js", "-sd", directory, "-a", "127.0.0.1", "-p", String(port)], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  for await (const line of createInterface({ input: child.stderr })) if (line.includes("is ready")) break;
  child.stderr.resume();
  return {
    url: `nats://127.0.0.1:${port}`,
    async stop() {
      child.kill();
      await new Promise((resolve) => child.once("exit", resolve));
      rmSync(directory, { recursive: true });
    },
  };
}

function hex(value) {
  return value.toString(16);
}

if (process.argv[1] === import.meta.filename) {
  const [, , url, hosts] = process.argv;
  if (url === undefined) console.table(await benchFleet());
  else await read(url, Number(hosts));
}
