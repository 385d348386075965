// Clients that make the daemon keep as much as it will: lines without an end, lines that all end at once, and answers that
// nobody reads.
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { neighbourAt } from "../bench/neighbour.mjs";
import { memoryOf } from "../bench/process.mjs";
import { startDaemon } from "../bench/servers.mjs";
import { hostOf } from "../bench/stalls.mjs";

const DEVICES = 2000;
/** Whatever clients do, in MiB. */
const MOST = 300;
const HOLDERS = 1000;
const DEAF = 40;
const PARTIAL = Buffer.alloc(1_000_000, 0x20);
/** Of a megabyte as well, and what is made of it takes twenty. */
const WHOLE = Buffer.from(
  `{"jsonrpc":"2.0","id":1,"method":"invert-ranges","params":{"ranges":[${Array(330_000).fill("{}")}]}}\n`,
);
const ALL = { start: "0x0", last: "0xffffffffffffffff" };
/** Milliseconds between two looks whether one was cut off, and is to come again. */
const PAUSE = 200;

/** What a deaf client asks for: the answers are the largest of this host. */
function largestQuestions(devices) {
  const some = devices.slice(0, 1000);
  const questions = [
    ["explain-range", ALL],
    ["predict-allowed-ranges", { devices: some }],
    ["query-host-profile", {}],
    ["query-devices", {}],
    ["query-schema", {}],
    ["rpc.discover", {}],
    ["subscribe", {}],
  ];
  return questions.map(([method, params]) => {
    const batch = Array.from({ length: 100 }, (_, id) => ({ jsonrpc: "2.0", id, method, params }));
    return Buffer.from(`${JSON.stringify(batch)}\n`);
  });
}

/** Resolves to what is wrong after so many seconds: too much memory, or a client that reads was not answered. */
export async function soakHoarders(seconds) {
  const { devices, topology } = hostOf(DEVICES);
  const options = ["--max-connections", "1200", "--max-connections-per-uid", "1200"];
  const faults = [];
  const figures = {};
  const questions = largestQuestions(devices);
  const phases = {
    [`${HOLDERS} hold 1 MB without a newline`]: [HOLDERS, () => PARTIAL],
    [`${HOLDERS} send 330,000 objects in a line`]: [HOLDERS, () => WHOLE],
    [`${DEAF} read no answer`]: [DEAF, (number) => questions[number % questions.length]],
  };
  for (const [what, [count, sent]] of Object.entries(phases)) {
    const daemon = await startDaemon({ topology, options });
    const neighbour = await neighbourAt(daemon.path);
    const before = memoryOf(daemon.pid).resident;
    const until = performance.now() + (seconds * 1000) / Object.keys(phases).length;
    await neighbour.begin();
    let cutOff = 0;
    /** Comes again whenever it is cut off, for as long as the phase lasts. */
    const hoard = async (number) => {
      while (performance.now() < until) {
        const socket = connect(daemon.path).pause();
        let isOver = false;
        socket.on("error", () => {
          isOver = true;
        });
        socket.write(sent(number));
        // Who reads nothing learns from its writing only that it was cut off.
        while (!isOver && performance.now() < until) {
          await delay(PAUSE);
          socket.write(" ");
        }
        if (isOver) cutOff++;
        socket.destroy();
      }
    };
    await Promise.all(Array.from({ length: count }, (_, number) => hoard(number)));
    const { count: answers, worst } = await neighbour.end();
    const { resident: after, most } = memoryOf(daemon.pid);
    figures[what] = {
      "resident MiB before": before,
      "at most": most,
      after,
      "cut off": cutOff,
      answers,
      "worst wait ms": Math.round(worst),
    };
    if (most >= MOST)
      faults.push(`${what}: ${most} MiB were resident, and less than ${MOST} should have been`);
    if (answers === 0) faults.push(`${what}: a client that reads was not answered`);
    await neighbour.close();
    await daemon.stop();
  }
  console.table(figures);
  return faults;
}
