// 600 events in a row to 5,000 subscribers, of whom half do not read: `node test/bench/subscribers.mjs`.
import { once } from "node:events";
import { connect } from "node:net";
import { neighbourAt } from "./neighbour.mjs";
import { memoryOf } from "./process.mjs";
import { median, open, startDaemon } from "./servers.mjs";

const SUBSCRIBERS = 5000;
const EVENTS = 600;
const ROUNDS = 3;
const OPTIONS = [
  ...["--max-connections", "6000", "--max-connections-per-uid", "6000"],
  ...[
    "--max-subscriptions-per-uid",
    "6000",
    "--max-ioases-per-context",
    "10000",
    "--max-ioases-per-uid",
    "10000",
  ],
];
const SUBSCRIBE = '{"jsonrpc":"2.0","id":"subscribed","method":"subscribe"}\n';

/** A subscriber that has its answer. `got()`: how many events it has read or knows to be lost. */
async function subscriber(path) {
  const socket = connect(path);
  socket.write(SUBSCRIBE);
  let lines = 0;
  let lost = 0;
  let told = () => {};
  socket.on("data", (chunk) => {
    for (let at = chunk.indexOf(10); at !== -1; at = chunk.indexOf(10, at + 1)) lines++;
    if (chunk.includes("EVENTS_LOST")) lost += Number(/"count":(\d+)/.exec(chunk.toString())[1]) - 1;
    told();
  });
  // Its greeting and its answer.
  while (lines < 2) await once(socket, "data");
  const got = () => lines + lost - 2;
  const until = (count) =>
    new Promise((resolve) => {
      told = () => got() >= count && resolve();
      told();
    });
  return { socket, until };
}

/** Median of the neighbour's worst waits, and what the daemon has resident: MiB before, at most, and afterwards. */
export async function benchSubscribers() {
  const daemon = await startDaemon({ options: OPTIONS });
  const all = [];
  for (let i = 0; i < SUBSCRIBERS; i++) all.push(await subscriber(daemon.path));
  const readers = all.slice(0, SUBSCRIBERS / 2);
  for (const { socket } of all.slice(SUBSCRIBERS / 2)) socket.pause();
  const neighbour = await neighbourAt(daemon.path);
  const source = await open(daemon.path);
  await source.exchange("", 1);
  const before = memoryOf(daemon.pid).resident;
  const waits = [];
  const times = [];
  for (let round = 1; round <= ROUNDS; round++) {
    await neighbour.begin();
    const began = performance.now();
    const asked = '{"jsonrpc":"2.0","id":1,"method":"create-ioas"}\n'.repeat(EVENTS);
    await source.exchange(asked, EVENTS);
    await Promise.all(readers.map(({ until }) => until(round * EVENTS)));
    times.push(performance.now() - began);
    waits.push((await neighbour.end()).worst);
  }
  const { resident: after, most } = memoryOf(daemon.pid);
  for (const { socket } of all) socket.destroy();
  source.end();
  await neighbour.close();
  await daemon.stop();
  return {
    "worst wait ms": Number(median(waits).toFixed(1)),
    "all readers have all after ms": Math.round(median(times)),
    "resident MiB before": before,
    "at most": most,
    after,
  };
}

if (process.argv[1] === new URL(import.meta.url).pathname)
  console.table({ events: await benchSubscribers() });
