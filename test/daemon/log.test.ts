import { execFileSync } from "node:child_process";
import { closeSync, constants, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { fewOf } from "../runs.ts";
import { Daemon, type LogLine, preload } from "./daemon.ts";

const TOPOLOGY = { devices: [] };

let directory: string;
let open: Set<number>;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "iovad-log-"));
  open = new Set();
});
afterEach(() => {
  for (const fd of open) closeSync(fd);
  rmSync(directory, { recursive: true });
});

function opened(path: string, flags: number | string): number {
  const fd = openSync(path, flags);
  open.add(fd);
  return fd;
}

function closed(fd: number): void {
  open.delete(fd);
  closeSync(fd);
}

function pipe() {
  const path = join(directory, "pipe");
  execFileSync("mkfifo", [path]);
  const reader = opened(path, constants.O_RDONLY | constants.O_NONBLOCK);
  return { reader, writer: opened(path, "w") };
}

/** What is logged, a line each, of the longest name that there may be. */
const REFUSED = JSON.stringify({
  ...{ jsonrpc: "2.0", id: 1, method: "release-device", params: { device: "d".repeat(64) } },
});

/** Throws, at a signal. */
const FAULTY = preload('process.on("SIGUSR2", () => { throw new Error("provoked"); });');

/** Asks for so many lines, over a connection of its own; resolves to how many the daemon has dropped by then. */
async function talk(daemon: Daemon, client: Client, lines: number): Promise<number> {
  // Thousands of them, as text: what a client makes of its answers takes longer than the daemon does.
  const socket = connect({ path: daemon.socket, allowHalfOpen: true });
  socket.end(`${REFUSED}\n`.repeat(lines));
  const [greeting, ...answers] = (await text(socket)).trim().split("\n");
  expect(greeting).toContain("greeting");
  expect(answers.map((answer) => answer.includes('"NotHeld"'))).toEqual(Array(lines).fill(true));
  return dropped(client);
}

/** How many lines the daemon has dropped, when it is so many: to a device a line is written by a thread. */
async function dropped(client: Client, least = 0): Promise<number> {
  for (;;) {
    const { "log-lines-dropped": lines } = await client.call("query-status");
    if (lines >= least) return lines;
  }
}

describe("a daemon whose log", () => {
  it("goes into a file answers, and the file has every line", async () => {
    const path = join(directory, "log");
    const daemon = await Daemon.start({ topology: TOPOLOGY, stderr: opened(path, "a") });
    expect(await talk(daemon, await daemon.client(), 100)).toBe(0);
    expect(await daemon.stop()).toBe(0);
    const lines = readFileSync(path, "utf8")
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line));
    expect(lines.filter(({ msg }) => msg === "call")).toHaveLength(100);
    expect(lines.at(-1)).toMatchObject({ msg: "closed" });
  });

  it("goes onto a full disk answers, and ends when it is told to", async () => {
    const daemon = await Daemon.start({ topology: TOPOLOGY, stderr: opened("/dev/full", "w") });
    const client = await daemon.client();
    for (const _twice of [1, 2]) await talk(daemon, client, 100);
    await dropped(client, 100);
    expect(await daemon.stop()).toBe(0);
  });

  it("goes into a pipe that nobody reads any more answers, and ends when it is told to", async () => {
    const { reader, writer } = pipe();
    const daemon = await Daemon.start({ topology: TOPOLOGY, stderr: writer });
    const client = await daemon.client();
    closed(reader);
    closed(writer);
    for (const _twice of [1, 2]) await talk(daemon, client, 100);
    await dropped(client, 100);
    expect(await daemon.stop()).toBe(0);
  });

  it("goes into a pipe whose reader has stopped answers, and tells the reader when it is back", async () => {
    const { reader, writer } = pipe();
    const daemon = await Daemon.start({ topology: TOPOLOGY, stderr: writer });
    closed(writer);
    const client = await daemon.client();
    let dropped = 0;
    for (let i = 0; i < 40 && dropped < 1000; i++) dropped = await talk(daemon, client, 1000);
    expect(dropped).toBeGreaterThanOrEqual(1000);
    open.delete(reader);
    const lines = createInterface({ input: new Socket({ fd: reader }) });
    const said = new Promise<LogLine>((resolve) => {
      lines.on("line", (line) => {
        const parsed = JSON.parse(line);
        if (parsed.dropped !== undefined) resolve(parsed);
      });
    });
    expect(await said).toMatchObject({ level: 40, dropped });
    expect(await talk(daemon, client, 10)).toBe(dropped);
    expect(await daemon.stop()).toBe(0);
  });

  const ENDS: [string, NodeJS.Signals, number][] = [
    ["when it is told to", "SIGTERM", 0],
    ["by a fault of ours", "SIGUSR2", 1],
  ];
  it.each(fewOf(ENDS, 1))(
    "goes into a pipe whose reader has stopped ends %s",
    async (_when, signal, status) => {
      const { writer } = pipe();
      const daemon = await Daemon.start({ topology: TOPOLOGY, nodeOptions: FAULTY, stderr: writer });
      const client = await daemon.client();
      for (let i = 0; i < 40 && (await talk(daemon, client, 1000)) === 0; ) i++;
      expect(await talk(daemon, client, 10)).toBeGreaterThan(0);
      expect(await daemon.stop(signal)).toBe(status);
    },
  );
});

describe("a fault of ours", () => {
  it("ends the daemon with status 1, and stands in the log", async () => {
    const daemon = await Daemon.start({ topology: TOPOLOGY, nodeOptions: FAULTY });
    expect(await daemon.signal("SIGUSR2")).toBe(1);
    expect(daemon.log.at(-1)).toMatchObject({
      level: 60,
      msg: "internal fault",
      err: { message: "provoked" },
    });
  });

  it("ends it also when a thread is in a system call that takes its time", async () => {
    const koffi = JSON.stringify(import.meta.resolve("koffi"));
    const sleep = `import(${koffi}).then(({ default: koffi }) => {
      const sleep = koffi.load(null).func("unsigned int sleep(unsigned int)");
      require("node:worker_threads").parentPort.postMessage("sleeps");
      sleep(100000);
    })`;
    const blocked = preload(`
      import { Worker } from "node:worker_threads";
      const worker = new Worker(${JSON.stringify(sleep)}, { eval: true });
      await new Promise((resolve) => worker.once("message", resolve));
      process.on("SIGUSR2", () => { throw new Error("provoked"); });
    `);
    const daemon = await Daemon.start({ topology: TOPOLOGY, nodeOptions: blocked });
    // By the kernel's SIGALRM: process.exit() waits for the thread.
    expect(await daemon.signal("SIGUSR2")).toBe(null);
    expect(daemon.log.at(-1)).toMatchObject({ msg: "internal fault" });
  });
});
