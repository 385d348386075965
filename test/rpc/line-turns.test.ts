import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { LineTurns, type Turn } from "../../src/rpc/line-turns.ts";
import { runs } from "../runs.ts";
import { request, startServer } from "./stub.ts";

const LARGE = 65_536;
const MOST = 2 * LARGE;
const limits = { ...DEFAULT_LIMITS, "max-request": MOST };

interface Noted {
  readonly turn: Turn;
  readonly uid: number;
  readonly isLarge: boolean;
  hasBegun: boolean;
  hasEnded: boolean;
}

/** By brute force: of a user's large lines, or of the others, in the order in which they came, those that fit beside what is under way. */
function allowed(all: readonly Noted[]): Noted[] {
  const own = all.filter(({ hasEnded }) => !hasEnded);
  const under = own.filter(({ hasBegun }) => hasBegun);
  for (const next of own.filter(({ hasBegun }) => !hasBegun)) {
    const used = under.reduce((sum, { turn }) => sum + turn.size, 0);
    if (used > 0 && used + next.turn.size > MOST) break;
    under.push(next);
  }
  return under;
}

describe("the turns of a user's lines", () => {
  it("are those that fit together, in the order in which they came, whatever others do and whoever leaves", async () => {
    const step = fc.record({
      uid: fc.nat({ max: 1 }),
      size: fc.oneof(
        fc.integer({ min: 1, max: LARGE - 1 }),
        fc.integer({ min: LARGE, max: 2 * MOST }),
        fc.constant(LARGE),
      ),
      which: fc.nat(),
      what: fc.constantFrom("begins", "begins", "ends", "leaves"),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
        const lineTurns = new LineTurns(limits);
        const all: Noted[] = [];
        for (const { uid, size, which, what } of steps) {
          const left = all.filter(({ hasBegun, hasEnded }) => !hasEnded && (hasBegun || what === "leaves"));
          const one = left[which % (left.length || 1)];
          if (what === "begins" || !one) {
            const turn = lineTurns.take(uid, size);
            const noted = { turn, uid, isLarge: size >= LARGE, hasBegun: false, hasEnded: false };
            all.push(noted);
            void noted.turn.begun.then(() => {
              noted.hasBegun = true;
            });
          } else {
            if (what === "leaves") lineTurns.leave(one.turn);
            one.hasEnded = what === "ends" || !one.hasBegun;
            if (one.hasEnded) await one.turn.begun;
            if (one.hasEnded) lineTurns.end(one.turn);
          }
          const groups = [0, 1].flatMap((uid) =>
            [true, false].map((isLarge) =>
              all.filter((each) => each.uid === uid && each.isLarge === isLarge),
            ),
          );
          const expected = groups.map(allowed);
          await new Promise(setImmediate);
          const actual = groups.map((group) =>
            group.filter(({ hasBegun, hasEnded }) => hasBegun && !hasEnded),
          );
          expect(actual).toEqual(expected);
        }
      }),
      { numRuns: runs(50) },
    );
  });
});

describe("a server", () => {
  const wait = (id: number) => request(id, "wait", { value: "x".repeat(6000) });

  it("begins no second large line of a user that does not fit beside the first, and small ones at once", async () => {
    const server = await startServer({ "max-request": 8192 });
    try {
      const [first, second, third] = [await server.connect(), await server.connect(), await server.connect()];
      first.send(wait(1));
      await server.entered.opened;
      second.send(wait(2));
      // What comes behind it on another connection has been read after it.
      third.send(request(3, "echo", { value: "small" }));
      expect((await third.next()).id).toBe(3);
      expect(server.log).toEqual(["wait", "echo"]);
      server.gate.open();
      expect([(await first.next()).id, (await second.next()).id]).toEqual([1, 2]);
      expect(server.log).toEqual(["wait", "echo", "wait"]);
    } finally {
      await server.stop();
    }
  });

  it("goes on with the next line when the client of one that waits has gone", async () => {
    const server = await startServer({ "max-request": 8192 });
    try {
      const [first, second, third] = [await server.connect(), await server.connect(), await server.connect()];
      first.send(wait(1));
      await server.entered.opened;
      second.send(wait(2));
      third.send(wait(3));
      second.socket.destroy();
      await second.ended;
      const other = await server.connect();
      expect(await other.stillWorks()).toBe(true);
      server.gate.open();
      expect([(await first.next()).id, (await third.next()).id]).toEqual([1, 3]);
    } finally {
      await server.stop();
    }
  });

  it("answers no more of those that waited in a turn of the loop than there is time for", async () => {
    const server = await startServer({ "max-request": 8192 }, undefined, { clock: { now: 0 } });
    try {
      const [first, ...others] = await Promise.all(Array.from({ length: 21 }, () => server.connect()));
      first?.send(wait(1));
      await server.entered.opened;
      for (const other of others) other.send(request(2, "spin", { value: "x".repeat(5000) }));
      expect(await (await server.connect()).stillWorks()).toBe(true);
      const spins = () => server.log.filter((name) => name === "spin").length;
      server.gate.open();
      for (let before = 0; before < others.length; before = spins()) {
        await new Promise(setImmediate);
        // A slice has 2 ms.
        expect(spins() - before).toBeLessThanOrEqual(3);
      }
    } finally {
      await server.stop();
    }
  });

  it("lets go of a line that waits when it cuts its client off", async () => {
    const server = await startServer({ "max-request": 8192, "max-buffered-per-uid": 28_000 });
    try {
      const [first, ...others] = await Promise.all(Array.from({ length: 5 }, () => server.connect()));
      first?.send(request(1, "wait", { value: "x".repeat(5000) }));
      await server.entered.opened;
      for (const other of others) other.send(wait(2));
      const cutOff = await Promise.race(others.map((other) => other.ended.then(() => other)));
      expect((await cutOff.next()).error.data.limit).toBe("max-buffered-per-uid");
      cutOff.socket.destroy();
      // Its connection is over when nothing of it is under way, nor waits.
      while (server.server.connections === 5) await new Promise(setImmediate);
      expect(server.log).toEqual(["wait"]);
    } finally {
      await server.stop();
    }
  });

  it("counts a line for as long as it is under way, and no longer", async () => {
    const server = await startServer({ "max-buffered-per-uid": 28_000 });
    try {
      const client = await server.connect();
      for (let id = 0; id < 20; id++) {
        client.send(request(id, "count", { value: "x".repeat(5000) }));
        expect(await client.next()).toMatchObject({ id });
      }
    } finally {
      await server.stop();
    }
  });
});
