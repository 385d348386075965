import { expect, it } from "vitest";
import { SlowReads } from "../../src/host/contexts/slow-reads.ts";

const IOAS = 1;
const OTHER = 2;

/** Reads that begin when it is their turn, and end when a test ends them. */
function stage() {
  const reads = new SlowReads();
  const begun: string[] = [];
  const ends: (() => void)[] = [];
  const read = (what: number | "all that there are", isBlockable: boolean) =>
    reads.read(what, isBlockable, async () => {
      begun.push(String(what));
      await new Promise<void>((end) => ends.push(end));
      return begun.length;
    });
  const settle = () => new Promise(setImmediate);
  return { read, begun, ends, settle };
}

it("of two IOASes are made at the same time", async () => {
  const { read, begun, settle } = stage();
  void read(IOAS, false);
  void read(OTHER, false);
  await settle();
  expect(begun).toEqual(["1", "2"]);
});

it.each<[string, number | "all that there are", boolean]>([
  ["of an IOAS that others can block", OTHER, true],
  ["of all that there are", "all that there are", false],
])("%s stand in one line", async (_what, second, isBlockable) => {
  const { read, begun, ends, settle } = stage();
  void read(IOAS, true);
  void read(second, isBlockable);
  await settle();
  expect(begun).toEqual(["1"]);
  ends[0]?.();
  await settle();
  expect(begun).toEqual(["1", String(second)]);
});

it("that have not begun are shared, and one that has is not", async () => {
  const { read, begun, ends, settle } = stage();
  const first = read(IOAS, false);
  await settle();
  const second = read(IOAS, false);
  expect(read(IOAS, false)).toBe(second);
  ends[0]?.();
  expect(await first).toBe(1);
  await settle();
  ends[1]?.();
  expect(await second).toBe(2);
  expect(begun).toEqual(["1", "1"]);
});
