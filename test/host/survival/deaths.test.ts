import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { HostError } from "../../../src/host/errors.ts";
import { IS_LONG, runs } from "../../runs.ts";
import { CONTEXTS, type Operation, operationOn, perform } from "../operations.ts";
import { assertModelEqualsKernel, DISK, GPU, NIC } from "../simulation.ts";
import { Killed, Life } from "./life.ts";
import { World } from "./world.ts";

const DEVICES = [NIC, DISK, GPU];

function begin(groups: readonly number[]): World {
  const devices = DEVICES.map((device, i) => ({
    device,
    group: groups[i] ?? 0,
    regions: [{ start: `0x${i}0000`, last: `0x${i}ffff`, type: "reserved" }],
  }));
  return new World({ devices });
}

/** Two contexts with two IOASes each, and devices that are held and attached as far as the groups let them. */
async function furnish({ host }: Life): Promise<void> {
  host.createContext("guest", "persistent", 7);
  for (const context of CONTEXTS) for (let i = 0; i < 2; i++) host.createIoas(context, 7);
  for (const device of DEVICES.slice(0, 2)) await host.hold(device, "guest", 7).catch(() => undefined);
  await host.attach(NIC, 1);
}

/** Asks all at once; each has an answer, is refused, or nobody lives to answer it. */
async function ask(life: Life, operations: readonly Operation[]): Promise<void> {
  const requests = operations.map((operation) => perform(life.host, operation));
  await life.until(() =>
    Promise.all(
      requests.map((request) =>
        request.catch((error) => assert(error instanceof HostError || error instanceof Killed, error)),
      ),
    ),
  );
}

function generations({ host }: Life): Map<string, number> {
  const all = host
    .contexts()
    .flatMap(({ name, ioases }) => [...ioases.values()].map((ioas) => ({ name, ioas })));
  return new Map(all.map(({ name, ioas }) => [`${name} ${ioas.id}`, ioas.generation]));
}

describe("whatever is asked for at the same time, and whenever the process dies,", () => {
  it("also while it takes over, the next one's model equals the kernel, nothing is lost, and listeners know", {
    timeout: IS_LONG ? 7_200_000 : 180_000,
  }, async () => {
    let count = 0;
    const death = fc.record({
      operations: fc.array(operationOn(DEVICES), { minLength: 1, maxLength: 5 }),
      after: fc.integer({ min: 1, max: 40 }),
      afterAgain: fc.option(fc.integer({ min: 1, max: 25 }), { nil: null }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(...DEVICES.map(() => fc.nat(2))),
        fc.array(death, { minLength: 1, maxLength: 3 }),
        fc.scheduler(),
        async (groups, deaths, scheduler) => {
          const world = begin(groups);
          let life = new Life(world);
          await furnish(life);
          life.journal.flush();
          world.told.length = 0;
          const first = life.snapshot();
          for (const { operations, after, afterAgain } of deaths) {
            const grown = generations(life);
            count += afterAgain === null ? 1 : 2;
            life.queue = (call) => scheduler.schedule(Promise.resolve(), `${call} begins`);
            life.dies = life.steps.length + after;
            await scheduler.waitFor(ask(life, operations));
            life.dies = Math.min(life.dies, life.steps.length);
            await scheduler.waitFor(world.reap());
            if (afterAgain !== null) await takeOver(world, afterAgain);
            life = await takeOver(world);
            await assertModelEqualsKernel({ host: life.host, machine: world.machine }, undefined, (fd) =>
              world.isStored(fd),
            );
            assert.deepEqual(world.folded(first), life.snapshot());
            for (const [ioas, generation] of generations(life)) {
              // One of the same id may be another one.
              if (!operations.some(({ kind }) => kind.startsWith("destroy")))
                assert(generation >= (grown.get(ioas) ?? 0), `${ioas} had ${grown.get(ioas)}`);
            }
          }
          await life.host.close();
          assert.deepEqual([world.stored, world.machine.openFds()], [[], []]);
        },
      ),
      { numRuns: runs(6, 500) },
    );
    if (IS_LONG) console.log(`${count} deaths, each with the model equal to the kernel behind it`);
  });
});

/** The next process, which may die as well, whether it has taken over by then or not. */
async function takeOver(world: World, dies?: number): Promise<Life> {
  let life: Life | undefined;
  try {
    const begun = new Life(world, dies);
    life = begun;
    const lost = await begun.until(() => begun.host.takeOver(30));
    if (lost !== "killed") assert.deepEqual(lost, []);
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
  if (life && dies === undefined) {
    life.journal.flush();
    return life;
  }
  if (life) life.dies = Math.min(life.dies, life.steps.length);
  await world.reap();
  return life as Life;
}
