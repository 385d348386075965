import { execFileSync } from "node:child_process";
import {
  closeSync,
  constants,
  fstatSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LogSink } from "../src/log-sink.ts";

/** Milliseconds: nothing here waits for so long but what is broken. */
const PATIENCE = 20_000;

let directory: string;
let open: number[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-log-"));
  open = [];
});
afterEach(() => {
  for (const fd of open) closeSync(fd);
  rmSync(directory, { recursive: true });
});

function opened(path: string, flags: number | string): number {
  const fd = openSync(path, flags);
  open.push(fd);
  return fd;
}

/** A pipe by its two ends; reading does not wait. */
function pipe() {
  const path = join(directory, "pipe");
  execFileSync("mkfifo", [path]);
  const reader = opened(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { reader, writer: opened(path, "w") };
}

/** What is in the pipe now. */
function taken(reader: number): string {
  const bytes = Buffer.alloc(1024 * 1024);
  let length = 0;
  try {
    for (let more = 1; more > 0; length += more)
      more = readSync(reader, bytes, length, bytes.length - length, null);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
  }
  return bytes.subarray(0, length).toString();
}

const line = (msg: string, level = 30) => `${JSON.stringify({ level, msg })}\n`;

describe("the log", () => {
  it("is what was written, in order, in a file", async () => {
    const path = join(directory, "log");
    const sink = new LogSink(opened(path, "a"), {});
    const lines = Array.from({ length: 1000 }, (_, i) => line(`${i} ü`));
    for (const each of lines) sink.write(each);
    await sink.settled(PATIENCE);
    expect(readFileSync(path, "utf8")).toBe(lines.join(""));
    expect(sink.dropped).toBe(0);
  });

  it("begins each line with its priority where journald reads it, and only there", async () => {
    const path = join(directory, "log");
    const fd = opened(path, "a");
    const { dev, ino } = fstatSync(fd);
    const levels = [10, 20, 30, 40, 50, 60];
    for (const stream of [`${dev}:${ino}`, `${dev}:${ino + 1}`, ""]) {
      const sink = new LogSink(fd, { JOURNAL_STREAM: stream });
      for (const level of levels) sink.write(line("x", level));
      await sink.settled(PATIENCE);
    }
    const starts = readFileSync(path, "utf8")
      .split("\n")
      .slice(0, -1)
      .map((each) => each.slice(0, 3));
    expect(starts).toEqual([
      "<7>",
      "<7>",
      "<6>",
      "<4>",
      "<3>",
      "<2>",
      ...Array(2 * levels.length).fill('{"l'),
    ]);
  });

  it("is in a pipe as soon as it is written", () => {
    const { reader, writer } = pipe();
    const sink = new LogSink(writer, {});
    for (const each of [line("first"), line("ü".repeat(20_000)), line("last")]) {
      sink.write(each);
      expect(taken(reader)).toBe(each);
    }
  });

  it("drops and counts what a full disk does not take", async () => {
    const sink = new LogSink(opened("/dev/full", "w"), {});
    for (let i = 0; i < 10; i++) {
      sink.write(line("x"));
      await sink.settled(PATIENCE);
    }
    expect(sink.dropped).toBe(10);
  });

  it("drops and counts what comes when nobody reads any more, or there is nothing", async () => {
    const { reader, writer } = pipe();
    const sink = new LogSink(writer, {});
    open.splice(open.indexOf(reader), 1);
    closeSync(reader);
    sink.write(line("x"));
    await sink.settled(PATIENCE);
    expect(sink.dropped).toBe(1);
    const nowhere = new LogSink(999_999, {});
    nowhere.write(line("x"));
    await nowhere.settled(PATIENCE);
    expect(nowhere.dropped).toBe(1);
  });

  it("keeps what a reader that has stopped does not take, up to a bound, and tells it of the rest", async () => {
    const { reader, writer } = pipe();
    const sink = new LogSink(writer, {});
    const long = "x".repeat(1000);
    const count = 3000;
    for (let i = 0; i < count; i++) sink.write(line(`${i} ${long}`));
    expect(sink.dropped).toBeGreaterThan(1000);
    expect(sink.dropped).toBeLessThan(2000);
    const { dropped } = sink;
    let text = "";
    while (!text.includes("were dropped")) {
      text += taken(reader);
      await new Promise(setImmediate);
    }
    await sink.settled(PATIENCE);
    const lines = (text + taken(reader))
      .split("\n")
      .slice(0, -1)
      .map((each) => JSON.parse(each));
    const last = lines.pop();
    expect(last).toMatchObject({ level: 40, dropped });
    expect(lines.map(({ msg }) => Number.parseInt(msg, 10))).toEqual(
      Array.from({ length: count - dropped }, (_, i) => i),
    );
  });

  it("does not keep who ends waiting for a reader that has stopped", async () => {
    const { writer } = pipe();
    const sink = new LogSink(writer, {});
    for (let i = 0; i < 1000; i++) sink.write(line("x".repeat(1000)));
    await sink.settled(1);
    expect(sink.dropped).toBe(0);
  });
});
