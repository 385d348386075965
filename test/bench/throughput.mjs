// Cached query-allowed-ranges against a bare JSON echo of the same request: `node test/bench/throughput.mjs`.
import { median, open, startDaemon, startEcho } from "./servers.mjs";

const ROUNDS = 9;
/** Requests in flight: what a client that keeps many questions open has. */
const PIPELINE = 32;
const PIPELINED = 100_000;
const SINGLE = 10_000;

const line = (id, method, params) => `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;

/** Requests a second, with `depth` requests in each write. */
async function rate(connection, request, depth, count) {
  const block = Buffer.from(request.repeat(depth));
  const began = performance.now();
  for (let sent = 0; sent < count; sent += depth) await connection.exchange(block, depth);
  return (count / (performance.now() - began)) * 1000;
}

/** Resolves to medians in requests a second and the median of the paired ratios. */
export async function benchThroughput() {
  const [daemon, echo] = [await startDaemon(), await startEcho()];
  const [ours, theirs] = [await open(daemon.path), await open(echo.path)];
  await ours.exchange("", 1);
  for (const [method, params] of [
    ["create-ioas", {}],
    ["hold-device", { device: "0000:00:05.0" }],
    ["attach-device", { device: "0000:00:05.0", ioas: 1 }],
  ]) {
    const answer = await ours.exchange(line(1, method, params), 1, true);
    if (answer.includes('"error"')) throw new Error(answer);
  }
  const request = line(7, "query-allowed-ranges", { ioas: 1 });
  await ours.exchange(request, 1);
  const result = {};
  for (const [name, depth, count] of [
    ["pipelined", PIPELINE, PIPELINED],
    ["one at a time", 1, SINGLE],
  ]) {
    const rounds = [];
    for (let round = -1; round < ROUNDS; round++) {
      const echoed = await rate(theirs, request, depth, count);
      const answered = await rate(ours, request, depth, count);
      if (round >= 0) rounds.push({ echoed, answered, ratio: answered / echoed });
    }
    result[name] = {
      echoPerSecond: Math.round(median(rounds.map(({ echoed }) => echoed))),
      perSecond: Math.round(median(rounds.map(({ answered }) => answered))),
      ratio: Number(median(rounds.map(({ ratio }) => ratio)).toFixed(2)),
    };
  }
  for (const each of [ours, theirs]) each.end();
  for (const each of [daemon, echo]) await each.stop();
  return result;
}

if (process.argv[1] === new URL(import.meta.url).pathname) console.table(await benchThroughput());
