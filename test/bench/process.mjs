// Start to first answer, and resident memory: `node test/bench/process.mjs`.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { launchDaemon, median, open, openSoon, startDaemon } from "./servers.mjs";

const ROUNDS = 9;
const CONNECTIONS = 500;
const QUERY = `${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "query-version" })}\n`;

/** Of a process: MiB that are resident now, and that were at most. */
export function memoryOf(pid) {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const mebibytes = (name) => Math.round(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(status)[1] / 1024);
  return { resident: mebibytes("VmRSS"), most: mebibytes("VmHWM") };
}

/** Milliseconds of processor time that all threads of a process have had. */
function processorTime(pid) {
  const nanoseconds = (thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8").split(" ")[0]);
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + nanoseconds(thread), 0) / 1e6;
}

/** The same of `node -e 0`, from its start to its end, as bash's `time` tells it: to a millisecond. */
function bareProcessorTime() {
  const script = "TIMEFORMAT='%3U %3S'; time \"$0\" -e 0";
  const { stderr } = spawnSync("bash", ["-c", script, process.execPath], {
    env: { ...process.env, LC_ALL: "C" },
    encoding: "utf8",
  });
  return stderr.split(" ").reduce((sum, seconds) => sum + Number(seconds) * 1000, 0);
}

/**
 * From the start of the process to its first answer, and the same of `node -e 0`: milliseconds, and of the processor's
 * time. Goals: ratios of at most 2 and 2.3.
 */
export async function benchStart() {
  return { "this host": await startOn(null), "a simulated host": await startOn() };
}

async function startOn(topology) {
  const rounds = [];
  for (let round = -1; round < ROUNDS; round++) {
    const bareBegan = performance.now();
    spawnSync(process.execPath, ["-e", "0"]);
    const bare = performance.now() - bareBegan;
    const bareWork = bareProcessorTime();
    const began = performance.now();
    const daemon = launchDaemon({ topology });
    const connection = await openSoon(daemon.path);
    await connection.exchange(QUERY, 2);
    const first = performance.now() - began;
    const work = processorTime(daemon.pid);
    connection.end();
    await daemon.stop();
    if (round >= 0) rounds.push({ bare, first, bareWork, work });
  }
  const of = (figure) => median(rounds.map(figure));
  return {
    nodeMs: Math.round(of(({ bare }) => bare)),
    firstAnswerMs: Math.round(of(({ first }) => first)),
    ratio: Number(of(({ first, bare }) => first / bare).toFixed(2)),
    processorRatio: Number(of(({ work, bareWork }) => work / bareWork).toFixed(2)),
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
  console.table(await benchStart());
  console.table({ "resident MiB": await benchMemory() });
}
