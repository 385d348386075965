import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { HostError } from "../../src/host/errors.ts";
import type { Host } from "../../src/host/host.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { runs } from "../runs.ts";
import { assertModelEqualsKernel, DISK, excludedBy, NIC, OWN_REGIONS, Simulation } from "./simulation.ts";

const DEVICES = [...OWN_REGIONS.keys()];

const device = fc.constantFrom(...DEVICES);
const context = fc.constantFrom("default", "guest");
const nth = fc.nat(1);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("hold" as const), device, context }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("release" as const), device }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("probe" as const), device }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("attach" as const), device, nth }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("detach" as const), device }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("query" as const), context, nth }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("allow" as const), context, nth, device }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("create-ioas" as const), context }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy-ioas" as const), context, nth }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("create-context" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("destroy-context" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function nthIoas(host: Host, context: string, nth: number): number {
  const found = host.contexts().find(({ name }) => name === context);
  return [...(found?.ioases.keys() ?? [])][nth] ?? 99;
}

async function perform(host: Host, step: Step): Promise<unknown> {
  switch (step.kind) {
    case "hold":
      return host.hold(step.device, step.context);
    case "release":
      return host.release(step.device);
    case "probe":
      return host.probe(step.device);
    case "attach": {
      const holder = host
        .contexts()
        .find((each) => host.devicesIn(each).some(({ platform }) => platform.device === step.device));
      return host.attach(step.device, nthIoas(host, holder?.name ?? "default", step.nth));
    }
    case "detach":
      return host.detach(step.device);
    case "query":
      return host.allowed(host.ioas(step.context, nthIoas(host, step.context, step.nth)));
    case "allow":
      return host.allowRanges(
        step.context,
        nthIoas(host, step.context, step.nth),
        step.device === NIC ? RangeSet.EMPTY : excludedBy(step.device),
      );
    case "create-ioas":
      return host.createIoas(step.context);
    case "destroy-ioas":
      return host.destroyIoas(step.context, nthIoas(host, step.context, step.nth));
    case "create-context":
      return host.createContext("guest", "persistent");
    case "destroy-context":
      return host.destroyContext("guest");
  }
}

/** What a client that only listens believes of every IOAS. */
function told({ changes }: Simulation): Map<string, RangeSet> {
  const ranges = new Map<string, RangeSet>();
  for (const change of changes) {
    if (change.event === "IOAS_CREATED") ranges.set(`${change.context} ${change.ioas}`, RangeSet.ALL);
    if (change.event === "ALLOWED_RANGES_CHANGED") {
      const before = ranges.get(`${change.context} ${change.ioas}`);
      assert(before?.union(change.gained).subtract(change.lost).equals(change.ranges));
      ranges.set(`${change.context} ${change.ioas}`, change.ranges);
    }
  }
  return ranges;
}

/** Of a device that has just been attached, listeners know already what it takes away. */
async function assertTold(simulation: Simulation, device: string, since: number): Promise<void> {
  const { host, changes } = simulation;
  const moves = changes
    .slice(since)
    .filter(({ event }) => event === "DEVICE_ATTACHED" || event === "DEVICE_DETACHED")
    .filter((change) => "device" in change && change.device === device);
  // Another request has moved it, and has still to tell what that took away before its own answer.
  if (moves.length > 1) return;
  const held = host.contexts().flatMap((context) => host.devicesIn(context));
  const { context, ioas } = held.find(({ platform }) => platform.device === device) ?? {};
  if (!context || !ioas || context.isClosing) return;
  const actual = RangeSet.from(await simulation.actual(context.name, ioas.id));
  // Somebody else is about to take it away again, itself or with its group.
  if (!actual.intersect(excludedBy(device)).isEmpty) return;
  const ranges = told(simulation).get(`${context.name} ${ioas.id}`);
  assert(ranges?.intersect(excludedBy(device)).isEmpty);
}

/** No step fails by itself, so what the kernel refuses was asked of the wrong object, or at the wrong time. */
function assertRefusal(error: unknown): void {
  assert(error instanceof HostError && error.errorClass !== "KernelError", String(error));
}

/** A host that holds some devices, some of them attached, in groups that may have two. */
async function begin(groups: readonly number[]): Promise<Simulation> {
  const simulation = new Simulation({
    devices: DEVICES.map((device, index) => ({
      device,
      group: groups[index] ?? 0,
      regions: [OWN_REGIONS.get(device) ?? []].flat(),
    })),
  });
  const { host } = simulation;
  host.createContext("guest", "persistent");
  for (const context of ["default", "guest"]) for (let i = 0; i < 2; i++) host.createIoas(context);
  for (const device of [NIC, DISK]) await host.hold(device, "guest").catch(() => undefined);
  await host.attach(NIC, nthIoas(host, "guest", 0));
  return simulation;
}

describe("whatever runs at the same time, in whatever order its calls come through the kernel,", () => {
  const groups = fc.tuple(...DEVICES.map(() => fc.nat(2)));

  it("at rest the model equals the kernel, and every listener knows the ranges", {
    timeout: 120_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(
        groups,
        fc.array(step, { minLength: 2, maxLength: 10 }),
        fc.scheduler(),
        async (groups, steps, scheduler) => {
          const simulation = await begin(groups);
          const { host, kernel } = simulation;
          kernel.queued = (call) => scheduler.schedule(Promise.resolve(), `${call} begins`);
          kernel.made = (call) => scheduler.schedule(Promise.resolve(), `${call} is told`);
          const requests = steps.map(async (step) => {
            await scheduler.schedule(Promise.resolve(), `${step.kind} is asked for`);
            const since = simulation.changes.length;
            const answer = await perform(host, step).catch(assertRefusal);
            if (step.kind === "attach" && answer) await assertTold(simulation, step.device, since);
          });
          await scheduler.waitFor(Promise.all(requests));
          await assertModelEqualsKernel(simulation, excludedBy);
          for (const context of host.contexts()) {
            for (const { id } of context.ioases.values()) {
              const actual = await simulation.actual(context.name, id);
              assert.deepEqual([...(told(simulation).get(`${context.name} ${id}`) ?? [])], actual);
            }
          }
          await scheduler.waitFor(host.close());
          assert.deepEqual(simulation.openPaths(), []);
        },
      ),
      { numRuns: runs(50, 2_000) },
    );
  });

  it("the end of the host leaves nothing open", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        groups,
        fc.array(step, { minLength: 1, maxLength: 8 }),
        fc.scheduler(),
        async (groups, steps, scheduler) => {
          const simulation = await begin(groups);
          const { host, kernel } = simulation;
          kernel.queued = (call) => scheduler.schedule(Promise.resolve(), `${call} begins`);
          kernel.made = (call) => scheduler.schedule(Promise.resolve(), `${call} is told`);
          const requests = steps.map((step) => perform(host, step).catch(assertRefusal));
          await scheduler.waitFor(host.close());
          assert.deepEqual(simulation.openPaths(), []);
          await scheduler.waitFor(Promise.all(requests));
        },
      ),
      { numRuns: runs(25, 1_000) },
    );
  });
});
