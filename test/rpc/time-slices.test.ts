import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { TimeSlice } from "../../src/rpc/time-slice.ts";
import { TimeSlices } from "../../src/rpc/time-slices.ts";

/** A clock that only work moves. */
function setUp() {
  let now = 0;
  const slices = new TimeSlices(() => now);
  const done: string[] = [];
  const work = (milliseconds: number) => {
    now += milliseconds;
  };
  /** Works piece by piece of a millisecond each, as everybody does who has much to do. */
  const labour = async (name: string, slice: TimeSlice, pieces: number) => {
    for (let piece = 0; piece < pieces; piece++) {
      if (slice.isOver) await slice.pass();
      work(1);
      done.push(name);
    }
    slice.rest();
  };
  return { slices, done, labour, work };
}

describe("TimeSlices", () => {
  it("lets work that fits into one slice be done at once", () => {
    const { slices, done, labour } = setUp();
    void labour("a", slices.slice(1), 2);
    expect(done).toEqual(["a", "a"]);
  });

  it("has one slice in a turn of the loop, for all together", async () => {
    const { slices, done, labour } = setUp();
    for (const name of ["a", "b", "c"]) void labour(name, slices.slice(1), 100);
    const before = done.length;
    expect(before).toBeLessThanOrEqual(3);
    await nextTurn();
    expect(done.length - before).toBeLessThanOrEqual(3);
  });

  it("gives those who have equally much to do equal parts", async () => {
    const { slices, done, labour } = setUp();
    await Promise.all(["a", "b", "c"].map((name) => labour(name, slices.slice(1), 60)));
    for (const name of ["a", "b", "c"]) {
      expect(done.slice(0, 90).filter((each) => each === name).length).toBeGreaterThanOrEqual(25);
    }
  });

  it("gives users equal parts, however many connections each has", async () => {
    const { slices, done, labour } = setUp();
    const many = Array.from({ length: 9 }, () => labour("many", slices.slice(1), 60));
    await Promise.all([...many, labour("one", slices.slice(2), 60)]);
    expect(done.slice(0, 110).filter((each) => each === "one").length).toBeGreaterThanOrEqual(50);
  });

  it.each([
    ["the same user", 1],
    ["another user", 2],
  ])("serves a small question of %s next, however many large ones wait", async (_who, uid) => {
    const { slices, done, labour } = setUp();
    const large = Array.from({ length: 50 }, () => labour("large", slices.slice(1), 40));
    const asker = slices.slice(uid);
    for (let question = 0; question < 20; question++) {
      await nextTurn();
      const before = done.length;
      await labour("small", asker, 1);
      expect(done.length - before).toBeLessThanOrEqual(7);
    }
    await Promise.all(large);
  });

  it("gives what is left of a slice to the next, so that a crowd with little to do does not take a turn each", async () => {
    const { slices, done, labour, work } = setUp();
    const large = labour("large", slices.slice(1), 100);
    const crowd = Array.from({ length: 100 }, async () => {
      const slice = slices.slice(1);
      if (slice.isOver) await slice.pass();
      work(0.01);
      done.push("small");
      slice.rest();
    });
    expect(done).not.toContain("small");
    for (let turn = 0; turn < 4; turn++) await nextTurn();
    expect(done.filter((name) => name === "small")).toHaveLength(100);
    await Promise.all([large, ...crowd]);
  });

  it.each([0.3, 1.3, 1.9])(
    "gives a user its part beside a crowd that leaves a rest of every slice: all but %d ms",
    async (size) => {
      const { slices, work } = setUp();
      const parts = { one: 0, crowd: 0 };
      let isOver = false;
      const one = async () => {
        const slice = slices.slice(2);
        for (; !isOver; parts.one += 0.05) {
          if (slice.isOver) await slice.pass();
          work(0.05);
        }
        slice.rest();
      };
      const asker = async () => {
        const slice = slices.slice(1);
        for (; !isOver; parts.crowd += size) {
          if (slice.isOver) await slice.pass();
          work(size);
          slice.rest();
          await nextTurn();
        }
      };
      const all = [one(), ...Array.from({ length: 30 }, asker)];
      for (let turn = 0; turn < 500; turn++) await nextTurn();
      isOver = true;
      await Promise.all(all);
      // Of two slices it has one, while the last of the crowd may go on for nearly as long as the other is.
      expect(parts.one / (parts.one + parts.crowd)).toBeGreaterThan(0.3);
    },
  );

  it("serves a small question soon, however many others of the same user pour theirs in", async () => {
    const { slices, done, labour, work } = setUp();
    let isOver = false;
    const crowd = Array.from({ length: 300 }, async () => {
      const slice = slices.slice(1);
      while (!isOver) {
        for (let piece = 0; piece < 20; piece++) {
          if (slice.isOver) await slice.pass();
          work(0.05);
          done.push("crowd");
        }
        slice.rest();
        await nextTurn();
      }
    });
    const asker = slices.slice(1);
    const waits: number[] = [];
    for (let question = 0; question < 100; question++) {
      await nextTurn();
      const before = done.length;
      await labour("small", asker, 1);
      waits.push(done.length - before);
    }
    isOver = true;
    await Promise.all(crowd);
    // Of 40 pieces in a slice.
    expect(Math.max(...waits)).toBeLessThanOrEqual(200);
  });

  it("goes on with a large question, however many new connections of the same user bring a small one each", async () => {
    const { slices, done, labour } = setUp();
    let isOver = false;
    const large = labour("large", slices.slice(1), 100);
    const crowd = Array.from({ length: 10 }, async () => {
      while (!isOver) {
        await labour("small", slices.slice(1), 1);
        await nextTurn();
      }
    });
    for (let turn = 0; turn < 3000; turn++) await nextTurn();
    isOver = true;
    expect(done.filter((name) => name === "large")).toHaveLength(100);
    await Promise.all([large, ...crowd]);
  });

  it.each([0, 1])("gives a user who comes late an equal part, behind %d slices more", async (more) => {
    const { slices, done, labour } = setUp();
    let isOver = false;
    // Has half of the time for being small, and the others share the other half.
    const crowd = Array.from({ length: 10 }, async () => {
      const slice = slices.slice(1);
      while (!isOver) {
        await labour("small", slice, 1);
        await nextTurn();
      }
    });
    const others = [2, 3].map((uid) => labour("other", slices.slice(uid), 2000));
    for (let turn = 0; turn < 500 + more; turn++) await nextTurn();
    const late = labour("late", slices.slice(4), 100);
    for (let turn = 0; turn < 300; turn++) await nextTurn();
    expect(done.filter((name) => name === "late").length).toBe(100);
    isOver = true;
    await Promise.all([late, ...crowd, ...others]);
  });

  it("holds nothing against anybody that was before everybody was idle", async () => {
    const { slices, done, labour } = setUp();
    const old = slices.slice(1);
    await Promise.all([labour("old", old, 500), labour("other", slices.slice(1), 500)]);
    await nextTurn();
    await nextTurn();
    done.length = 0;
    await Promise.all([labour("new", slices.slice(1), 60), labour("old", old, 60)]);
    expect(done.slice(0, 40).filter((each) => each === "old").length).toBeGreaterThanOrEqual(15);
  });
});
