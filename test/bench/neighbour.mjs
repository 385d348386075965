// A client of its own thread that asks for the version again and again, and says how long it had to wait at most.
import { once } from "node:events";
import { parentPort, Worker, workerData } from "node:worker_threads";
import { open } from "./servers.mjs";

const QUERY = `${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "query-version" })}\n`;

/** Watches the daemon at `path`: {begin(), end() → {worst, count}, close()}. */
export async function neighbourAt(path) {
  const worker = new Worker(new URL(import.meta.url), { workerData: { path } });
  await once(worker, "message");
  const tell = async (what) => {
    worker.postMessage(what);
    const [answer] = await once(worker, "message");
    return answer;
  };
  return { begin: () => tell("begin"), end: () => tell("end"), close: () => worker.terminate() };
}

async function watch(path) {
  const { exchange } = await open(path);
  await exchange("", 1);
  let isOn = false;
  let worst = 0;
  let count = 0;
  parentPort.on("message", async (what) => {
    if (what === "end") {
      isOn = false;
      return;
    }
    isOn = true;
    worst = count = 0;
    parentPort.postMessage("begun");
    while (isOn) {
      const began = performance.now();
      await exchange(QUERY, 1);
      worst = Math.max(worst, performance.now() - began);
      count++;
      // Asking without a pause would itself be a load, and the messages of this thread need a turn.
      await new Promise((resolve) => setTimeout(resolve, 0.2));
    }
    parentPort.postMessage({ worst, count });
  });
  parentPort.postMessage("ready");
}

if (parentPort && workerData?.path) await watch(workerData.path);
