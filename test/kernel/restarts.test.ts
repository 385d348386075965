import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { connect as connectSocket } from "node:net";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Client, ConnectionError, connect } from "../../src/client/index.ts";
import type { LinuxKernel } from "../../src/kernel/linux/linux-kernel.ts";
import { benchJournal, inWords } from "../bench/journal.mjs";
import { openDevices, secondOpinion } from "./guest.ts";
import { pidOfQemu, qemu, qmp } from "./qemu.ts";
import { install, mainPid, property, SOCKET, shell } from "./systemd.ts";

/** In a variable, or tsc would ask for the build: the kernel's threads run compiled files. */
const COMPILED = "../../dist/kernel/linux/linux-kernel.js";
const DEVICE = "0000:00:05.0";
const OTHER = "0000:00:06.0";
/** A guest's. */
const GIVEN = "0000:00:07.0";
/** One that is moved from one IOAS to the other all the time. */
const MOVED = "0000:00:08.0";

beforeAll(() => {
  install();
}, 300_000);

afterAll(() => {
  shell("systemctl stop iovad.service");
});

/** Resolves when a query is answered whose client connects now. */
async function firstAnswer(): Promise<void> {
  const socket = connectSocket(SOCKET);
  socket.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "query-version" })}\n`);
  for await (const line of createInterface({ input: socket })) if ("id" in JSON.parse(line)) break;
  socket.destroy();
}

/** The same for `node -e 0`, from start to end. */
function emptyProgram(): number {
  const start = performance.now();
  spawnSync("/usr/bin/node", ["-e", "0"]);
  return performance.now() - start;
}

const median = (numbers: readonly number[]) =>
  numbers.toSorted((a, b) => a - b)[numbers.length >> 1] as number;

it("what an attach costs more for being journalled", async () => {
  const { LinuxKernel } = (await import(COMPILED)) as { LinuxKernel: new () => LinuxKernel };
  const kernel = new LinuxKernel();
  const cost = await benchJournal(kernel, DEVICE, { blocks: 9, pairs: 20 });
  expect(cost.kept).toBeGreaterThan(0);
  console.log(inWords(cost));
  await kernel.shutdown();
}, 300_000);

describe("a daemon that dies", () => {
  const devices = [DEVICE, OTHER];
  const deaths: [string, number, () => void][] = [
    ["is killed", 5, () => process.kill(mainPid(), "SIGKILL")],
    ["is restarted", 1, () => shell("systemctl restart iovad.service")],
    ["stands still for longer than its watchdog waits", 1, () => process.kill(mainPid(), "SIGSTOP")],
  ];

  it("answers again in a few times of what an empty program takes", async () => {
    await firstAnswer();
    // What systemd takes to begin, what the daemon takes to be ready, what is left until there is an answer, and all of it:
    // each against an empty program of the same minute, for machines are fast and slow by turns.
    const restarts: number[][] = [];
    const references: number[] = [];
    for (let n = 0; n < 9; n++) {
      const pid = mainPid();
      const killed = Number(process.hrtime.bigint() / 1000n);
      process.kill(pid, "SIGKILL");
      await firstAnswer();
      const answered = Number(process.hrtime.bigint() / 1000n);
      const times = ["ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic"].map((name) =>
        Number(property(name)),
      );
      expect(mainPid()).not.toBe(pid);
      const empty = median(Array.from({ length: 3 }, emptyProgram));
      const stages = [killed, ...times, answered];
      const lengths = stages.slice(1).map((time, i) => time - (stages[i] as number));
      restarts.push([...lengths, answered - killed].map((length) => length / 1000 / empty));
      references.push(empty);
    }
    const [begun, ready, asked, whole] = [0, 1, 2, 3].map((stage) =>
      median(restarts.map((each) => each[stage] as number)).toFixed(1),
    );
    const all = restarts.map((each) => each[3]?.toFixed(1)).sort();
    console.log(
      `from SIGKILL to the first answer: ${whole} times node -e 0 (${median(references) | 0} ms): begun ${begun}, ready ${ready}, answered ${asked}; all: ${all.join(" ")}`,
    );
  }, 300_000);

  it("has its devices where they were, and has told every event once", async () => {
    let losses = 0;
    const options = {
      ...{ socket: SOCKET, reconnect: true, patience: 60_000 },
      connectionLost: () => losses++,
      leaseLost: (context: string) => expect.unreachable(`the lease of ${context} is lost`),
    };
    const [client, watcher] = [await connect(options), await connect(options)];
    const events = watcher.events();
    const first = (await events.next()).value;
    const told: { method: string; sequence: number; lost?: unknown }[] = [];
    const watching = (async () => {
      for await (const { method, params } of events)
        told.push({ method, ...(params as { sequence: number }) });
    })();
    const stored = property("NFileDescriptorStore");
    await client.call("create-context", { context: "vm", lease: "connection" });
    const { ioas } = await client.call("create-ioas", { context: "vm" });
    for (const device of devices) {
      await client.call("hold-device", { device, context: "vm" });
      await client.call("attach-device", { device, ioas });
    }
    const kept = [{ start: "0x100000", last: "0x1fffff" }];
    await client.call("allow-ranges", { context: "vm", ioas, ranges: kept });
    const { ranges, generation } = await client.call("query-allowed-ranges", { context: "vm", ioas });
    let before = generation;
    for (const [how, times, die] of deaths) {
      for (let n = 0; n < times; n++) {
        const pid = mainPid();
        losses = 0;
        die();
        await vi.waitUntil(() => losses === 2, { timeout: 120_000 });
        const after = await client.call("query-allowed-ranges", { context: "vm", ioas });
        expect(mainPid(), how).not.toBe(pid);
        expect(after, how).toMatchObject({ ranges, devices });
        expect(after.generation, how).toBeGreaterThanOrEqual(before);
        before = after.generation;
        const held = await client.call("query-devices", { context: "vm" });
        expect(held.devices.map((each) => [each.state, each.ioas])).toEqual(
          devices.map(() => ["attached", ioas]),
        );
        expect((await client.call("query-ioas", { context: "vm" })).ioas).toMatchObject([
          { ioas, "allow-list": kept },
        ]);
        expect(await client.call("query-status")).toMatchObject({ mismatches: 0, "keeps-state": true });
      }
    }
    await client.call("destroy-context", { context: "vm" });
    const last = (await client.call("query-events", { limit: 1 })).events.at(-1)?.params.sequence as number;
    await vi.waitUntil(() => told.at(-1)?.sequence === last, { timeout: 60_000 });
    const start = (first?.params as { sequence: number } | undefined)?.sequence ?? Number.NaN;
    expect(told.map(({ sequence }) => sequence)).toEqual(told.map((_, n) => start + 1 + n));
    const restarts = told.filter(({ method }) => method === "RESTARTED");
    expect(restarts.map(({ lost }) => lost)).toEqual(Array(7).fill([]));
    await client.close();
    await watcher.close();
    await watching;
    expect(property("NFileDescriptorStore")).toBe(stored);
  }, 600_000);
});

/** A client that goes on and on, whatever becomes of its connection. */
class Load {
  answers = 0;
  readonly over: Promise<void>;
  #isOver = false;

  constructor(
    client: Client,
    ask: (client: Client) => Promise<unknown>,
    lost: (client: Client) => Promise<void>,
  ) {
    this.over = (async () => {
      while (!this.#isOver) {
        try {
          await ask(client);
          this.answers++;
        } catch (error) {
          if (!(error instanceof ConnectionError)) throw error;
          await lost(client);
        }
      }
      await client.close();
    })();
  }

  end(): Promise<void> {
    this.#isOver = true;
    return this.over;
  }
}

describe("killed while clients ask, with two devices attached and a third in a guest", () => {
  it("has lost nothing that was answered, and the guest notices nothing", async () => {
    const options = { socket: SOCKET, reconnect: true, patience: 60_000 };
    const client = await connect(options);
    const made = [await client.call("create-ioas"), await client.call("create-ioas")] as const;
    const [ioas, elsewhere] = made.map((each) => each.ioas) as [number, number];
    for (const device of [DEVICE, OTHER, MOVED]) {
      await client.call("hold-device", { device });
      await client.call("attach-device", { device, ioas });
    }
    const { ranges } = await client.call("query-allowed-ranges", { ioas });

    const command = ["--context", "guest", "--device", GIVEN, "--rlimit-mode", "--", ...qemu(GIVEN)];
    const run = spawn("iovad-run", command, { stdio: ["ignore", "inherit", "inherit"] });
    const ended = once(run, "exit");
    const gone = ended.then(() => Promise.reject(new Error("QEMU has ended")));
    gone.catch(() => undefined);
    await Promise.race([qmp("query-status"), gone]);
    const guest = pidOfQemu();
    const given = openDevices(guest);
    expect(given).toHaveLength(2);
    const [its] = (await client.call("query-ioas", { context: "guest" })).ioas;
    expect(its).toMatchObject({ discovered: true });
    const ofGuest = { context: "guest", ioas: its?.ioas as number };
    const seen = await client.call("query-allowed-ranges", ofGuest);

    const nothing = async () => {};
    const queries = await Promise.all(
      Array.from({ length: 3 }, async () => {
        const ask = async (each: Client) =>
          expect(await each.call("query-allowed-ranges", { ioas })).toMatchObject({ ranges });
        return new Load(await connect(options), ask, nothing);
      }),
    );
    // Where it is, by the last answer, and where it may be after a request that nobody has answered.
    let at = ioas;
    let asked = ioas;
    const moves = new Load(
      await connect(options),
      async (each) => {
        asked = at === ioas ? elsewhere : ioas;
        await each.call("attach-device", { device: MOVED, ioas: asked });
        at = asked;
      },
      async (each) => {
        const { devices } = await each.call("query-devices", { device: MOVED });
        expect(devices).toMatchObject([{ state: "attached" }]);
        expect([at, asked]).toContain(devices[0]?.ioas);
        at = devices[0]?.ioas as number;
      },
    );
    const loads = [...queries, moves];
    const working = Promise.all(loads.map(({ over }) => over));
    working.catch(() => undefined);

    let { generation } = seen;
    for (let n = 0; n < 5; n++) {
      const before = loads.map(({ answers }) => answers);
      await Promise.race([
        working,
        vi.waitUntil(() => loads.every((each, i) => each.answers > (before[i] ?? 0) + 3), {
          timeout: 60_000,
        }),
      ]);
      const pid = mainPid();
      process.kill(pid, "SIGKILL");
      const then = loads.map(({ answers }) => answers);
      await Promise.race([
        working,
        vi.waitUntil(() => loads.every((each, i) => each.answers > (then[i] ?? 0) + 1), { timeout: 120_000 }),
      ]);
      expect(mainPid()).not.toBe(pid);
      const { devices } = await client.call("query-devices");
      const places = new Map(devices.map((each) => [each.device, [each.state, each.context, each.ioas]]));
      for (const device of [DEVICE, OTHER]) expect(places.get(device)).toEqual(["attached", "default", ioas]);
      expect(places.get(GIVEN)).toEqual(["handed-over", "guest", null]);
      expect(await Promise.race([qmp("query-status"), gone])).toEqual([
        { return: { status: "prelaunch", running: false } },
      ]);
      expect(openDevices(guest)).toEqual(given);
      const answer = await client.call("query-allowed-ranges", ofGuest);
      expect(answer).toMatchObject({ ranges: seen.ranges, cached: false });
      expect(answer.generation).toBeGreaterThan(generation);
      generation = answer.generation;
      expect(await client.call("query-status")).toMatchObject({ mismatches: 0 });
    }
    await Promise.all(loads.map((each) => each.end()));

    // Its context was iovad-run's all the time, and ends with it.
    await qmp("quit");
    expect(await ended).toEqual([0, null]);
    await vi.waitUntil(async () => (await client.call("query-contexts")).contexts.length === 1, {
      timeout: 60_000,
    });
    expect((await client.call("query-devices", { device: GIVEN })).devices).toMatchObject([
      { state: "observed" },
    ]);
    for (const each of [ioas, elsewhere]) {
      const answer = await client.call("query-allowed-ranges", { ioas: each });
      expect(secondOpinion({ pid: mainPid() }, each)).toEqual({
        ranges: answer.ranges,
        alignment: answer["iova-alignment"],
      });
    }
    for (const device of [DEVICE, OTHER, MOVED]) await client.call("release-device", { device });
    for (const each of [ioas, elsewhere]) await client.call("destroy-ioas", { ioas: each });
    await client.close();
  }, 900_000);
});
