// Start to first answer, and resident memory: `node test/bench/process.mjs`.
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { median, open, startDaemon } from "./servers.mjs";

const ROUNDS = 9;
const CONNECTIONS = 500;
const QUERY = `${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "query-version" })}\n`;

/** Of a process: MiB that are resident now, and that were at most. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mebibytes = (name) => Math.round(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)[1] / 1024);
  return { resident: mebibytes("VmRSS"), most: mebibytes("VmHWM") };
}

/** Milliseconds from the start of the process to its first answer, and the same of `node -e 0`. */
export async function benchStart() {
  const rounds = [];
  for (let round = -1; round < ROUNDS; round++) {
    const bareBegan = performance.now();
    spawnSync(process.execPath, ["-e", "0"]);
    const bare = performance.now() - bareBegan;
    const began = performance.now();
    const daemon = await startDaemon();
    const connection = await open(daemon.path);
    await connection.exchange(QUERY, 2);
    const first = performance.now() - began;
    connection.end();
    await daemon.stop();
    if (round >= 0) rounds.push({ bare, first, ratio: first / bare });
  }
  return {
    nodeMs: Math.round(median(rounds.map(({ bare }) => bare))),
    firstAnswerMs: Math.round(median(rounds.map(({ first }) => first))),
    ratio: Number(median(rounds.map(({ ratio }) => ratio)).toFixed(2)),
  };
}

/** Resident MiB of the daemon: idle, with many connections that each have asked once, and after they have gone. */
export async function benchMemory() {
  const daemon = await startDaemon({ options: ["--max-connections", String(CONNECTIONS + 1)] });
  const idle = memoryOf(daemon.pid).resident;
  const connections = [];
  for (let i = 0; i < CONNECTIONS; i++) {
    const connection = await open(daemon.path);
    await connection.exchange(QUERY, 2);
    connections.push(connection);
  }
  const connected = memoryOf(daemon.pid).resident;
  for (const connection of connections) connection.end();
  await daemon.stop();
  return { idle, [`with ${CONNECTIONS} connections`]: connected };
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  console.table({ start: await benchStart() });
  console.table({ "resident MiB": await benchMemory() });
}
