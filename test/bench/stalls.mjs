// What one client's line costs another, `query-version` beside it: `npm run stalls -- ROUNDS`. Each beside a bare JSON.parse
// of the same line in the same run, and the wait without any line. Goal: at most 25 ms, or 4 times that parse.

import { connect } from "node:net";
import { dirname, join } from "node:path";
import { hostileLines, hostileMessages, QMP_NEGOTIATION } from "./hostile-lines.mjs";
import { neighbourAt } from "./neighbour.mjs";
import { median, startDaemon } from "./servers.mjs";
import { benchSubscribers } from "./subscribers.mjs";

const ROUNDS = Number(process.argv[2] ?? 5);
const MOST_MS = 25;
const MOST_PARSES = 4;
/** What no client may bring about: a fault of the daemon. */
const INTERNAL = /-32603|InternalError/;

/** A simulated host of so many devices. */
export function hostOf(count) {
  const devices = Array.from({ length: count }, (_, index) => {
    const bus = Math.floor(index / 32);
    const digits = (value, width) => value.toString(16).padStart(width, "0");
    return `${digits(bus >> 8, 4)}:${digits(bus & 0xff, 2)}:${digits(index % 32, 2)}.0`;
  });
  const topology = {
    iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } }],
    devices: devices.map((device, group) => ({
      ...{ device, iommu: "dmar0", group, driver: "vfio-pci" },
      regions: [{ start: "0xfee00000", last: "0xfeefffff", type: "msi" }],
    })),
  };
  return { devices, topology };
}

/** Milliseconds of a JSON.parse of each line of a text, whether or not it is JSON. */
function parse(text) {
  const lines = text.split("\n");
  const began = performance.now();
  for (const line of lines) {
    try {
      JSON.parse(line);
    } catch {
      // Junk is read up to where it is junk.
    }
  }
  return performance.now() - began;
}

/** Sends a line over a connection of its own and resolves to all of the answer when the daemon has said it and ended. */
function ask(path, text) {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true });
    let tail = "";
    let bytes = 0;
    let isInternal = false;
    socket.on("data", (chunk) => {
      bytes += chunk.length;
      const seen = tail + chunk.toString("latin1");
      isInternal ||= INTERNAL.test(seen);
      tail = seen.slice(-32);
    });
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve({ bytes, isInternal }));
    socket.on("error", reject);
    socket.end(`${text}\n`);
  });
}

/** A row for every line. */
async function stallsOn(count) {
  const { devices, topology } = hostOf(count);
  const daemon = await startDaemon({
    topology,
    options: (directory) => ["--qmp-socket", join(directory, "qmp")],
  });
  const neighbour = await neighbourAt(daemon.path);
  const qmpPath = join(dirname(daemon.path), "qmp");
  const cases = [
    ["(nothing)", undefined, undefined],
    ...hostileLines(devices).map(([what, make]) => [what, make(), daemon.path]),
    ...hostileMessages(devices).map(([what, make]) => [what, `${QMP_NEGOTIATION}\n${make()}`, qmpPath]),
  ];
  const rows = {};
  for (const [what, text, path] of cases) {
    const waits = [];
    const parses = [];
    const times = [];
    let answer = { bytes: 0, isInternal: false };
    for (let round = 0; round < ROUNDS; round++) {
      if (text !== undefined) parses.push(parse(text));
      await neighbour.begin();
      const began = performance.now();
      if (text === undefined) await new Promise((resolve) => setTimeout(resolve, 300));
      else answer = await ask(path, text);
      times.push(performance.now() - began);
      const { worst } = await neighbour.end();
      waits.push(worst);
    }
    if (answer.isInternal) throw new Error(`${what}: the daemon has found a fault of its own`);
    const [wait, parsing] = [median(waits), parses.length === 0 ? 0 : median(parses)];
    const most = Math.max(MOST_MS, MOST_PARSES * parsing);
    rows[what] = {
      KiB: text === undefined ? 0 : Math.round(text.length / 1024),
      "answer KiB": Math.round(answer.bytes / 1024),
      "answered in ms": Math.round(median(times)),
      "parse ms": Number(parsing.toFixed(1)),
      "worst wait ms": Number(wait.toFixed(1)),
      "least of the worst": Number(Math.min(...waits).toFixed(1)),
      "of the goal": Number((wait / most).toFixed(2)),
    };
  }
  await neighbour.close();
  await daemon.stop();
  return rows;
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  for (const count of [10, 10_000]) {
    console.log(
      `Worst wait of a neighbour, median of ${ROUNDS} rounds, on a host of ${count} devices (goal: at most 1 "of the goal")`,
    );
    console.table(await stallsOn(count));
  }
  console.log(
    "600 events to 5,000 subscribers, of whom half do not read (goal: a neighbour waits for at most 25 ms)",
  );
  console.table({ events: await benchSubscribers() });
}
