import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { Budget } from "../../src/rpc/budget.ts";
import { Outbox } from "../../src/rpc/outbox.ts";
import { runs } from "../runs.ts";

const directory = mkdtempSync(join(tmpdir(), "iovad-outbox-"));
const path = join(directory, "s");
/** Longer than what is written at once, with a pair of surrogates wherever it may be cut. */
const LARGE = `${"😀".repeat(400_000)}.`;

/** The longer of the two that there are. */
const END = "\r\n";

let server: ReturnType<typeof createServer>;
let near: Socket;
let far: Socket;
let outbox: Outbox;
let budget: Budget;
beforeEach(async () => {
  server = createServer().listen(path);
  const accepted = once(server, "connection");
  far = connect(path);
  [near] = (await accepted) as [Socket];
  budget = new Budget(DEFAULT_LIMITS);
  outbox = new Outbox(
    near,
    budget.open(0, () => near.destroy()),
    END,
  );
});
afterEach(() => {
  far.destroy();
  near.destroy();
  server.close();
  rmSync(path, { force: true });
});

/** Everything that comes out at the far end. */
async function all(): Promise<string> {
  let text = "";
  far.setEncoding("utf8").on("data", (chunk) => {
    text += chunk;
  });
  far.resume();
  await once(far, "end");
  return text;
}

/** As much as was expected, and what came with the last of it. */
async function read(expected: string): Promise<string> {
  let text = Buffer.alloc(0);
  const size = Buffer.byteLength(expected);
  while (text.length < size) {
    far.resume();
    text = Buffer.concat([text, (await once(far, "data"))[0]]);
  }
  return text.toString("utf8");
}

const taken = () => new Promise<void>((resolve) => outbox.onceEmpty(resolve));

describe("Outbox", () => {
  it("sends lines in order, gathered or not, small or large, and counts none that was taken", async () => {
    const got = all();
    outbox.send("first");
    outbox.gather();
    outbox.send("second");
    outbox.send(LARGE);
    outbox.send("third");
    outbox.release();
    outbox.send("fourth");
    await taken();
    expect([outbox.isEmpty, outbox.isFull, budget.total]).toEqual([true, false, 0]);
    outbox.deliver(Buffer.from(`fifth${END}`));
    near.end();
    expect(await got).toBe(["first", "second", LARGE, "third", "fourth", "fifth", ""].join(END));
  });

  it("counts a large line until the last of it was taken, and gives the socket only a piece", async () => {
    far.pause();
    outbox.send(LARGE);
    expect([budget.total, outbox.isFull, outbox.isEmpty]).toEqual([LARGE.length + END.length, true, false]);
    expect(near.writableLength).toBeLessThan(LARGE.length);
    const got = all();
    await outbox.drained(() => true);
    expect([budget.total, outbox.isFull]).toEqual([0, false]);
    near.end();
    expect(await got).toBe(LARGE + END);
  });

  it("sends what follows a large line behind it", async () => {
    const got = all();
    outbox.send(LARGE);
    outbox.send("behind it");
    await taken();
    near.end();
    expect(await got).toBe(`${LARGE}${END}behind it${END}`);
  });

  it("sends any lines in order, in pieces or whole, however large, and whatever waits", async () => {
    const piece = fc.tuple(fc.constantFrom("a", "é", "😀", ""), fc.constantFrom(1, 3000, 130_000));
    const line = fc.array(
      piece.map(([text, times]) => text.repeat(times)),
      { minLength: 1, maxLength: 4 },
    );
    const step = fc.record({
      line,
      isWhole: fc.boolean(),
      next: fc.constantFrom("gather", "release", "wait"),
    });
    for (const steps of fc.sample(fc.array(step, { maxLength: 12 }), runs(5, 80))) {
      const expected = steps.map(({ line }) => line.join("") + END).join("");
      const got = read(expected);
      for (const { line, isWhole, next } of steps) {
        outbox.send(isWhole ? line.join("") : line);
        if (next === "wait") await new Promise(setImmediate);
        else outbox[next]();
      }
      outbox.release();
      expect((await got) === expected).toBe(true);
      await taken();
      expect([outbox.isEmpty, outbox.isFull, budget.total]).toEqual([true, false, 0]);
    }
  });

  it("gives the socket all that is left when there is no more time", async () => {
    outbox.send(LARGE);
    outbox.send("last");
    outbox.finish();
    near.end();
    expect(await all()).toBe(`${LARGE}${END}last${END}`);
  });

  it("tells of what it forgets whether a line was begun", () => {
    outbox.gather();
    outbox.send("nobody will read this");
    expect(outbox.drop()).toBe(true);
    outbox.release();
    expect(near.writableLength).toBe(0);
    outbox.send(LARGE);
    expect(outbox.drop()).toBe(false);
  });

  it.each([
    ["the connection ends", () => near.destroy()],
    ["it is woken", () => outbox.wake()],
  ])("waits no longer when %s", async (_what, end) => {
    far.pause();
    outbox.send(LARGE);
    const drained = outbox.drained(() => true);
    end();
    await drained;
    expect(far.readableLength).toBeLessThan(LARGE.length);
  });
});
