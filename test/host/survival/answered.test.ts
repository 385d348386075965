import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { fold } from "../../../src/client/fold.ts";
import { HostError } from "../../../src/host/errors.ts";
import type { Host } from "../../../src/host/host.ts";
import { EventHub } from "../../../src/rpc/event-hub.ts";
import type { LoggedEvent } from "../../../src/rpc/event-log.ts";
import { IS_LONG, runs } from "../../runs.ts";
import { CONTEXTS, type Operation, operationOn, perform } from "../operations.ts";
import { assertModelEqualsKernel, DISK, GPU, NIC } from "../simulation.ts";
import { Killed, Life } from "./life.ts";
import { World } from "./world.ts";

const DEVICES = [NIC, DISK, GPU];

/** A question for the n-th IOAS of a context, beside what can be asked for. */
type Question = { readonly kind: "ask"; readonly context: string; readonly nth: number };
type Request = Operation | Question;

const question = fc.record({
  kind: fc.constant("ask" as const),
  context: fc.constantFrom(...CONTEXTS),
  nth: fc.nat(1),
});
const request: fc.Arbitrary<Request> = fc.oneof(
  { weight: 4, arbitrary: operationOn(DEVICES) },
  { weight: 1, arbitrary: question },
);

async function answer(host: Host, request: Request): Promise<void> {
  if (request.kind !== "ask") await perform(host, request);
  else {
    const ioases = host
      .contexts()
      .find(({ name }) => name === request.context)
      ?.ioases.values();
    const ioas = [...(ioases ?? [])][request.nth];
    if (ioas) await host.allowed(ioas);
  }
}

/** What clients know, each from an answer. */
interface Known {
  /** Context and IOAS of each device that is held. */
  readonly seats: ReadonlyMap<string, string>;
  readonly generations: ReadonlyMap<string, number>;
  readonly allowLists: ReadonlyMap<string, string>;
}

function known({ host }: Life): Known {
  const contexts = host.contexts();
  const held = contexts.flatMap((context) => host.devicesIn(context));
  const ioases = contexts.flatMap(({ name, ioases }) =>
    Array.from(ioases.values(), (ioas) => [`${name} ${ioas.id}`, ioas] as const),
  );
  return {
    seats: new Map(
      held.map(({ platform, context, ioas }) => [platform.device, `${context.name} ${ioas?.id ?? "none"}`]),
    ),
    generations: new Map(ioases.map(([key, { generation }]) => [key, generation])),
    allowLists: new Map(ioases.map(([key, { allowList }]) => [key, inWords([...(allowList ?? [])])])),
  };
}

const inText = ({ sequence, method, text }: LoggedEvent) => `${sequence} ${method} ${text}`;

const inWords = (value: unknown) =>
  JSON.stringify(value, (_key, each) => (typeof each === "bigint" ? each.toString(16) : each));

/** Asks one after the other, each in the turn of the loop in which the one before is answered. */
async function client(life: Life, operations: readonly Request[], pending: Set<Request>, note: () => void) {
  for (const operation of operations) {
    if (life.isDead) return;
    pending.add(operation);
    try {
      await answer(life.host, operation);
    } catch (error) {
      assert(error instanceof HostError || error instanceof Killed, error as Error);
    }
    if (life.isDead) return;
    pending.delete(operation);
    note();
  }
}

/** What was answered last is so, but for what was being changed. */
function compare(before: Known, after: Known, pending: readonly Request[], groups: readonly number[]): void {
  const groupOf = (device: string) => groups[DEVICES.indexOf(device)];
  const changing = pending.flatMap((each) => ("device" in each ? [groupOf(each.device)] : []));
  if (pending.some(({ kind }) => kind === "destroy-context")) return;
  for (const device of DEVICES) {
    if (changing.includes(groupOf(device))) continue;
    assert.equal(after.seats.get(device), before.seats.get(device), device);
  }
  const isDestroying = pending.some(({ kind }) => kind === "destroy-ioas");
  for (const [ioas, generation] of before.generations) {
    const now = after.generations.get(ioas);
    if (now === undefined) assert(isDestroying, `${ioas} is gone`);
    else assert(now >= generation, `${ioas} had ${generation}, and has ${now}`);
  }
  if (pending.some(({ kind }) => kind === "allow")) return;
  for (const [ioas, list] of before.allowLists)
    assert.equal(after.allowLists.get(ioas) ?? (isDestroying ? list : undefined), list, ioas);
}

/** A life that dies while it takes over, or when it has. */
async function dieAgain(world: World, dies: number): Promise<void> {
  try {
    const life = new Life(world, dies, (journal) => {
      const hub = new EventHub({ journal });
      return (change) => hub.publish(change);
    });
    const lost = await life.until(() => life.host.takeOver(30));
    if (lost !== "killed") assert.deepEqual(lost, []);
    life.dies = Math.min(life.dies, life.steps.length);
  } catch (error) {
    if (!(error instanceof Killed)) throw error;
  }
  await world.reap();
}

describe("what was answered, in whichever moment the process died behind it,", () => {
  it("is not less in the next one", { timeout: IS_LONG ? 7_200_000 : 180_000 }, async () => {
    const death = fc.record({
      clients: fc.array(fc.array(request, { minLength: 1, maxLength: 6 }), {
        minLength: 1,
        maxLength: 3,
      }),
      after: fc.integer({ min: 1, max: 60 }),
      /** Of the lives behind it, each of which dies before it has taken over. */
      again: fc.array(fc.integer({ min: 1, max: 25 }), { maxLength: 2 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.tuple(...DEVICES.map(() => fc.nat(2))),
        fc.array(death, { minLength: 1, maxLength: 3 }),
        fc.scheduler(),
        async (groups, deaths, scheduler) => {
          const world = new World({
            devices: DEVICES.map((device, i) => ({
              device,
              group: groups[i] ?? 0,
              regions: [{ start: `0x${i}0000`, last: `0x${i}ffff`, type: "reserved" }],
            })),
          });
          let hub = new EventHub();
          const live = () =>
            new Life(world, undefined, (journal) => {
              const begun = new EventHub({ journal });
              hub = begun;
              return (change) => begun.publish(change);
            });
          let life = live();
          life.host.createContext("guest", "persistent", 7);
          for (const context of CONTEXTS) for (let i = 0; i < 2; i++) life.host.createIoas(context, 7);
          for (const device of DEVICES) await life.host.hold(device, "guest", 7).catch(() => undefined);
          await life.host.attach(NIC, 1);
          life.journal.flush();
          world.told.length = 0;
          const first = life.snapshot();
          const begin = hub.sequence;
          for (const { clients, after, again } of deaths) {
            let answers = 0;
            const pending = new Set<Request>();
            const living = life;
            let answered = known(living);
            let seen: LoggedEvent[] = [];
            const subscriber = hub;
            life.dies = life.steps.length + after;
            const note = () => {
              answered = known(living);
              // Not after each, so that there are some that nobody has read.
              if (++answers % 3 === 0) seen = [...subscriber.log.after(begin)];
            };
            life.queue = (call) => scheduler.schedule(Promise.resolve(), `${call} begins`);
            await scheduler.waitFor(
              life.until(() =>
                Promise.all(clients.map((operations) => client(living, operations, pending, note))),
              ),
            );
            life.dies = Math.min(life.dies, life.steps.length);
            const left = [...pending];
            await scheduler.waitFor(world.reap());
            for (const dies of again) await dieAgain(world, dies);
            life = live();
            assert.deepEqual(await life.host.takeOver(30), []);
            life.journal.flush();
            const kept = [...hub.log.after(begin)];
            assert.deepEqual(kept.slice(0, seen.length).map(inText), seen.map(inText));
            assert.deepEqual(kept.reduce(fold, first), life.snapshot());
            compare(answered, known(life), left, groups);
            await assertModelEqualsKernel({ host: life.host, machine: world.machine }, undefined, (fd) =>
              world.isStored(fd),
            );
            assert.deepEqual(world.folded(first), life.snapshot());
          }
          await life.host.close();
          assert.deepEqual([world.stored, world.machine.openFds()], [[], []]);
        },
      ),
      { numRuns: runs(30, 3000) },
    );
  });
});
