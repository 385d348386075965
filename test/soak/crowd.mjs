// Dozens of clients that subscribe, flood, hang, die, attach and detach on a simulated host.
import { readdirSync } from "node:fs";
import { connect } from "node:net";
import { connect as connectClient } from "../../dist/client/index.js";
import { memoryOf } from "../bench/process.mjs";
import { open, startDaemon } from "../bench/servers.mjs";

const DEVICES = Array.from({ length: 8 }, (_, index) => `0000:01:${index.toString(16).padStart(2, "0")}.0`);
const TOPOLOGY = {
  iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } }, { name: "dmar1" }],
  devices: DEVICES.map((device, index) => ({
    device,
    iommu: `dmar${index % 2}`,
    driver: "vfio-pci",
    regions: [{ start: "0xfee00000", last: "0xfeefffff", type: "msi" }],
    "latency-ms": { bind: index, attach: index % 3, close: index % 4 },
  })),
};

/** Resolves to what is wrong after so many seconds: open descriptors and objects have to be back where they were. */
export async function soakCrowd(seconds) {
  const daemon = await startDaemon({ topology: TOPOLOGY });
  const until = performance.now() + seconds * 1000;
  const running = () => performance.now() < until;
  const pick = (list) => list[Math.floor(Math.random() * list.length)];
  const tally = {};
  const count = (what) => {
    tally[what] = (tally[what] ?? 0) + 1;
  };
  const settled = (promise, what) =>
    promise.then(
      () => count(what),
      (error) => count(`${what}: ${error.data?.class ?? error.message}`),
    );

  const arrive = () => connectClient({ socket: daemon.path });

  /** Takes a device through its life in a context of its own; now and then dies on the way. */
  async function worker(number) {
    for (let round = 0; running(); round++) {
      const client = await arrive();
      const context = `worker-${number}-${round}`;
      const device = pick(DEVICES);
      const dies = Math.random() < 0.3 ? Math.floor(Math.random() * 6) : -1;
      const steps = [
        ["create-context", { context, lease: "connection" }],
        ["create-ioas", { context }],
        ["hold-device", { device, context }],
        ["attach-device", { device, ioas: 1 }],
        ["detach-device", { device }],
        ["release-device", { device }],
      ];
      for (const [index, [method, params]] of steps.entries()) {
        const call = settled(client.request(method, params), method);
        if (index === dies) {
          count("died");
          break;
        }
        await call;
      }
      client.destroy();
    }
  }

  /** Asks as fast as it can. */
  async function flooder() {
    const { exchange, end } = await open(daemon.path);
    const block = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"query-status"}\n'.repeat(200));
    for (; running(); count("flood of 200")) await exchange(block, 200);
    end();
  }

  /** Subscribes, and reads (or never does). */
  async function subscriber(reads) {
    const socket = connect(daemon.path);
    socket.on("error", () => {});
    socket.write('{"jsonrpc":"2.0","id":1,"method":"subscribe"}\n');
    if (reads) socket.on("data", () => count("events read"));
    while (running()) await new Promise((resolve) => setTimeout(resolve, 50));
    socket.destroy();
  }

  /** Sends half a line and waits, then goes without a word. */
  async function hanger() {
    while (running()) {
      const socket = connect(daemon.path);
      socket.on("error", () => {});
      socket.write('{"jsonrpc":"2.0","id":1,"meth');
      await new Promise((resolve) => setTimeout(resolve, 20));
      socket.destroy();
      count("hung up");
    }
  }

  /** Sends what is no JSON-RPC. */
  async function babbler() {
    const { exchange, end } = await open(daemon.path);
    for (; running(); count("babbled")) await exchange(Buffer.from("[null]\nnull\n{}\n\xff\n", "latin1"), 4);
    end();
  }

  function figures() {
    return {
      "open descriptors": readdirSync(`/proc/${daemon.pid}/fd`).length,
      "resident MiB": memoryOf(daemon.pid).resident,
    };
  }

  const before = figures();
  await Promise.all([
    ...Array.from({ length: 24 }, (_, number) => worker(number)),
    ...Array.from({ length: 4 }, flooder),
    ...Array.from({ length: 4 }, () => subscriber(true)),
    ...Array.from({ length: 2 }, () => subscriber(false)),
    ...Array.from({ length: 4 }, hanger),
    ...Array.from({ length: 2 }, babbler),
  ]);

  /** Leases end when their connections have; what is still there after this many questions is left behind. */
  const QUESTIONS = 10_000;
  const client = await arrive();
  let status;
  let isBack = false;
  for (let asked = 0; asked < QUESTIONS && !isBack; asked++) {
    status = await client.request("query-status");
    isBack = status.connections === 1 && status.contexts === 1 && status["held-devices"] === 0;
  }
  client.destroy();
  const after = figures();
  // The connection that asked was open when the first figures were not.
  console.table(tally);
  console.table({ before, after });
  console.table({ objects: { ...status.cache, contexts: status.contexts, held: status["held-devices"] } });

  const faults = [];
  if (!isBack) faults.push(`connections, contexts or devices are left behind: ${JSON.stringify(status)}`);
  if (status.mismatches > 0) faults.push(`${status.mismatches} answers of the kernel were not predicted`);
  if (after["open descriptors"] > before["open descriptors"] + 1) faults.push("descriptors are left open");
  if (!((tally["attach-device"] ?? 0) > 0 && (tally.died ?? 0) > 0))
    faults.push("the clients did not do their work");
  await daemon.stop();
  return faults;
}
