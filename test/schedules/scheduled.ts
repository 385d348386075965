import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { vi } from "vitest";
import { SystemCallError } from "../../src/kernel/kernel.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import { qmp } from "../../src/rpc/dialects/qmp.ts";
import { EventHub } from "../../src/rpc/event-hub.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { RpcServer } from "../../src/rpc/server.ts";
import { TimeSlices } from "../../src/rpc/time-slices.ts";
import * as courier from "../../src/unix/send-descriptors.ts";
import { assertModelEqualsKernel, OWN_REGIONS, Simulation } from "../host/simulation.ts";
import { type Begun, noted } from "./noted.ts";
import { clock, cycle, DEVICES, type Schedule, turns } from "./schedule.ts";

/** More turns of the event loop than anything takes but what hangs. */
const HANG = 1_000_000;

/** Milliseconds: neither the server nor its clients lose it. */
const PATIENCE = 2 ** 30;

/** A server over a simulated host, where only the sockets are real: what time does, the schedule does. */
export class Scheduled {
  readonly simulation: Simulation;
  readonly server: RpcServer;
  readonly begun: Begun = { of: new Map(), isOver: false };
  /** What the server has logged and should not have come to. */
  readonly faults: unknown[] = [];
  readonly #directory = mkdtempSync(join(tmpdir(), "iovad-schedules-"));
  readonly #timers: () => number;

  private constructor({ groups, lateness, jumps, timers, limits: given }: Schedule) {
    this.#timers = cycle(timers);
    const limits = { ...DEFAULT_LIMITS, ...given };
    const now = clock(jumps);
    const slices = new TimeSlices(now);
    const events = new EventHub({ slices, limits });
    const devices = DEVICES.map((device, nth) => ({
      device,
      group: groups[nth] ?? 0,
      regions: [OWN_REGIONS.get(device) ?? []].flat(),
    }));
    this.simulation = new Simulation(
      { devices },
      { now, limits, observer: (change) => events.publish(change) },
    );
    const { host, kernel } = this.simulation;
    const lateBy = cycle(lateness);
    kernel.queued = () => turns(lateBy());
    kernel.made = () => turns(lateBy());
    this.server = new RpcServer({
      access: { peerOf: () => ({ uid: 0, gid: 0, pid: 1, groups: [] }), roleOf: () => "control" },
      methods: noted(METHODS, this.simulation, this.begun),
      ...{ host, events, limits, slices, courier },
      backend: "simulated",
      version: "1.2.3",
      log: pino({ level: "error" }, { write: (line: string) => void this.faults.push(JSON.parse(line)) }),
      closing: PATIENCE,
    });
  }

  /** In the middle of its life: with IOASes to attach to, and devices that are held. */
  static async start(schedule: Schedule): Promise<Scheduled> {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "setInterval", "clearInterval"] });
    const scheduled = new Scheduled(schedule);
    const { host } = scheduled.simulation;
    host.createContext("guest", "persistent", 0);
    for (const context of ["default", "guest"]) for (let nth = 0; nth < 2; nth++) host.createIoas(context, 0);
    for (const device of DEVICES.slice(0, 2)) await host.hold(device, "guest", 0);
    await scheduled.server.listen(scheduled.pathOf("json-rpc"));
    await scheduled.server.listen(scheduled.pathOf("qmp"), 0o660, qmp);
    return scheduled;
  }

  pathOf(dialect: string): string {
    return join(this.#directory, dialect);
  }

  /** What the promise resolves to, while timers count. */
  async within<T>(what: string, promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = () => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (let left = HANG; !isSettled; left--) {
      assert(left > 0, `${what} has no end`);
      vi.advanceTimersByTime(this.#timers());
      await turns();
    }
    return promise;
  }

  /** Devices change drivers; resolves when no driver waits for its device any more. */
  async changeDrivers(drivers: Schedule["drivers"]): Promise<void> {
    const changes: Promise<void>[] = [];
    for (const { after, device, driver } of drivers) {
      await turns(after);
      const change = this.simulation.machine.setDriver(device, driver);
      // Another one waits for the device already.
      changes.push(change.catch((error) => assert(error instanceof SystemCallError, String(error))));
    }
    await Promise.all(changes);
  }

  /** No connection is open, and nobody calls the kernel any more. */
  async rest(): Promise<void> {
    const { calls } = this.simulation.kernel;
    while (this.server.connections > 0) await turns();
    for (let before = Number.NaN; before !== calls.length; ) {
      before = calls.length;
      // More than a call is late, before and behind it.
      await turns(30);
    }
  }

  /** Nothing waits for a client that has gone, and what the host shows is what the machine has. */
  async assertAtRest(): Promise<void> {
    const buffered = this.server.metrics().find(({ name }) => name === "iovad_buffered_bytes");
    assert(buffered && "samples" in buffered);
    assert.equal(buffered.samples[0]?.value, 0);
    await this.simulation.host.look();
    await assertModelEqualsKernel(this.simulation);
  }

  /** As the daemon ends. */
  async close(): Promise<void> {
    await this.server.close(async () => {
      this.begun.isOver = true;
      await this.simulation.host.close();
    });
  }

  /** After {@link close}, of which what a client was to be given is closed late. */
  async assertNothingLeft(): Promise<void> {
    await this.rest();
    assert.deepEqual(this.simulation.openPaths(), []);
    assert.deepEqual(this.faults, []);
  }

  /** Also of one that hangs. */
  abandon(): void {
    vi.useRealTimers();
    rmSync(this.#directory, { recursive: true });
  }
}
