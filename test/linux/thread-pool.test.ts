import { afterEach, expect, test } from "vitest";
import { ThreadPool, type ThreadPoolOptions } from "../../src/kernel/linux/thread-pool.ts";

/** A call of these tests: the thread raises word 1 and blocks until word 0 is its answer. */
type Words = Int32Array;

const BLOCKING = script(`
  import { parentPort } from "node:worker_threads";
  parentPort.on("message", (words) => {
    Atomics.add(words, 1, 1);
    Atomics.wait(words, 0, 0);
    parentPort.postMessage(Atomics.load(words, 0));
  });
`);
const FAILING = script(`throw new Error("no such thread");`);

const open: ThreadPool<Words>[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((pool) => pool.stop()));
});

function pool(options: Partial<ThreadPoolOptions> = {}): ThreadPool<Words> {
  const made = new ThreadPool<Words>({ script: BLOCKING, maxThreads: 3, idleTimeout: 60_000, ...options });
  open.push(made);
  return made;
}

function script(text: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(text)}`);
}

const blocked = (): Words => new Int32Array(new SharedArrayBuffer(8));

function answer(words: Words, value: number): void {
  Atomics.store(words, 0, value);
  Atomics.notify(words, 0);
}

/** However long a thread takes to come up on a busy machine. */
async function untilTaken(words: Words): Promise<void> {
  while (Atomics.load(words, 1) === 0) await new Promise(setImmediate);
}

test("a pool has no thread until the first call", () => {
  expect(pool().size).toBe(0);
});

test("calls block at the same time, one per thread, and each gets its own answer", async () => {
  const threads = pool();
  const calls = [blocked(), blocked(), blocked()];
  const results = calls.map((words) => threads.run(words));
  await Promise.all(calls.map(untilTaken));
  expect(threads.size).toBe(3);
  calls.forEach((words, index) => {
    answer(words, 10 + index);
  });
  expect(await Promise.all(results)).toEqual([10, 11, 12]);
});

test("a call beyond the limit waits, and a thread that becomes free takes it", async () => {
  const threads = pool({ maxThreads: 1 });
  const first = blocked();
  const second = blocked();
  const results = [threads.run(first), threads.run(second)];
  await untilTaken(first);
  expect(threads.size).toBe(1);
  expect(Atomics.load(second, 1)).toBe(0);
  answer(first, 1);
  await untilTaken(second);
  answer(second, 2);
  expect(await Promise.all(results)).toEqual([1, 2]);
  expect(threads.size).toBe(1);
});

test("an idle thread is used again rather than a second one started", async () => {
  const threads = pool();
  for (const value of [1, 2, 3]) {
    const words = blocked();
    answer(words, value);
    expect(await threads.run(words)).toBe(value);
  }
  expect(threads.size).toBe(1);
});

test("an idle thread is retired, and the next call has a new one", async () => {
  const threads = pool({ idleTimeout: 1 });
  const words = blocked();
  answer(words, 5);
  expect(await threads.run(words)).toBe(5);
  while (threads.size > 0) await new Promise(setImmediate);
  expect(await threads.run(words)).toBe(5);
});

test("when threads cannot come up, every call is rejected with the reason, queued ones too", async () => {
  const threads = pool({ script: FAILING, maxThreads: 1 });
  const results = await Promise.allSettled([threads.run(blocked()), threads.run(blocked())]);
  expect(results.map((result) => result.status)).toEqual(["rejected", "rejected"]);
  await expect(threads.run(blocked())).rejects.toThrow("no such thread");
  expect(threads.size).toBe(0);
});

test("a call after stop() has a new thread", async () => {
  const threads = pool();
  const words = blocked();
  answer(words, 7);
  await threads.run(words);
  await threads.stop();
  expect(threads.size).toBe(0);
  expect(await threads.run(words)).toBe(7);
});
