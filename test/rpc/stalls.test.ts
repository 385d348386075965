import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hostileLines, hostileMessages, QMP_NEGOTIATION } from "../bench/hostile-lines.mjs";
import { fewOf } from "../runs.ts";
import { ADMIN, type Asker, DEVICE, OTHER, startDaemon } from "./peers.ts";

let daemon: Awaited<ReturnType<typeof startDaemon>>;
let neighbour: Asker;
beforeAll(async () => {
  daemon = await startDaemon();
  neighbour = await daemon.connect(ADMIN);
});
afterAll(() => daemon.stop());

const DEVICES = [DEVICE, OTHER];
const SHORT = 64 * 1024;
/** What has so much to do that a machine several times as fast still does it in many slices, and could do it in one piece. */
const LONG = [
  "invert-ranges, list of {}",
  "nested 60 deep, wide",
  "invert-ranges, valid",
  "intersect-ranges, valid, two lists",
  "find-free-range, valid",
  "predict-allowed-ranges, one host of many ranges",
  "check-layout, 4,096 windows",
  "4,096 requests in one write",
  "a batch of 100 times rpc.discover",
];

/** Sends a line over a connection of its own; resolves to everything that comes back until the daemon has ended. */
function answerTo(path: string, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path, allowHalfOpen: true }).setEncoding("utf8");
    let answer = "";
    socket.on("data", (chunk) => {
      answer += chunk;
    });
    socket.on("end", () => socket.destroy()).on("error", reject);
    socket.on("close", () => resolve(answer));
    socket.end(`${text}\n`);
  });
}

/** How often the neighbour is answered while the line is, and that answer. */
async function beside(path: string, text: string): Promise<{ between: number; answer: string }> {
  let isOver = false;
  const answered = answerTo(path, text).then((answer) => {
    isOver = true;
    return answer;
  });
  let between = 0;
  while (!isOver) {
    expect(await neighbour.outcome("query-version")).toBe("done");
    if (!isOver) between++;
  }
  return { between, answer: await answered };
}

describe("a neighbour is answered, and the daemon finds no fault of its own, while it answers", () => {
  it.each(fewOf(hostileLines(DEVICES, SHORT), 10))("%s", async (_what, make) => {
    const { answer } = await beside(daemon.path, make());
    expect(answer.split("\n").length).toBeGreaterThan(2);
    expect(answer).not.toContain("-32603");
  });

  it.each(fewOf(hostileMessages(DEVICES, SHORT), 3))("%s", async (_what, make) => {
    const { answer } = await beside(daemon.qmpPath, `${QMP_NEGOTIATION}\n${make()}`);
    expect(answer.split("\n").length).toBeGreaterThan(2);
    expect(answer).not.toContain("InternalError");
  });

  const long = hostileLines(DEVICES).filter(([what]) => LONG.includes(what));
  it.each(fewOf(long, 2))("again and again: %s", async (_, make) => {
    const { between } = await beside(daemon.path, make());
    expect(between).toBeGreaterThanOrEqual(5);
  });
});
