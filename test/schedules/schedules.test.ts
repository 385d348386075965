import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, it } from "vitest";
import { runs } from "../runs.ts";
import { BehavedClient, type Behaviour, behaviour, SILENT } from "./client.ts";
import { assertAnswered, assertBegunInOrder, countAnswers, follow } from "./oracle.ts";
import { type Schedule, schedule, turns } from "./schedule.ts";
import { Scheduled } from "./scheduled.ts";

const LONG = { timeout: 900_000 };
const behaviours = fc.array(behaviour, { minLength: 1, maxLength: 4 });

/** Has the clients connect, one after the other, does what is to be done with them, and ends what is left of them. */
async function withClients(
  schedule: Schedule,
  behaviours: readonly Behaviour[],
  act: (scheduled: Scheduled, clients: readonly BehavedClient[]) => Promise<void>,
): Promise<void> {
  const scheduled = await Scheduled.start(schedule);
  const clients: BehavedClient[] = [];
  try {
    for (const each of behaviours) {
      clients.push(await BehavedClient.connect(scheduled.pathOf(each.stream.dialect), each));
    }
    await act(scheduled, clients);
  } finally {
    for (const client of clients) client.destroy();
    scheduled.abandon();
  }
}

/** What a client believes that has stayed is what one is told that comes now. */
async function assertFolded(scheduled: Scheduled, stayed: readonly BehavedClient[]): Promise<void> {
  const witness = await BehavedClient.connect(scheduled.pathOf("json-rpc"), SILENT);
  const { sequence, devices, contexts, ioas } = (await witness.ask("subscribe")).result;
  for (const client of stayed) {
    await client.ask("query-status");
    const believed = follow(client.sent, client.got, sequence);
    if (believed) assert.deepEqual(believed, { devices, contexts, ioas });
  }
  witness.destroy();
}

/**
 * Each client was answered in order and told of every event, and what was begun for it was answered; all that it has sent,
 * if the server stayed.
 */
function assertServed(scheduled: Scheduled, clients: readonly BehavedClient[], hasStayed: boolean): void {
  // What was found wrong inside says more than the answer to it.
  assert.deepEqual(scheduled.faults, []);
  clients.forEach(({ sent, got, behaviour, isReset }, nth) => {
    // Connections are counted from one.
    const begun = scheduled.begun.of.get(nth + 1) ?? [];
    const begunMessages = assertBegunInOrder(sent, begun);
    // Of a closed socket libuv reads no further than descriptors, as if they were the end (uv__stream_io: POLLHUP).
    const isCutShort = isReset || begun.some((method) => method.startsWith("hand-over"));
    const isLost = behaviour.fate.kind === "dies" || (!hasStayed && isCutShort);
    const answerable = hasStayed ? sent : sent.slice(0, begunMessages);
    assertAnswered(sent, got, isLost ? 0 : countAnswers(answerable));
    follow(sent, got);
  });
}

describe("whatever clients send and however late everything is,", () => {
  it("all is answered in order, told in order, and as the kernel has it", LONG, async () => {
    await fc.assert(
      fc.asyncProperty(schedule, behaviours, async (schedule, behaviours) => {
        await withClients(schedule, behaviours, async (scheduled, clients) => {
          const changes = scheduled.changeDrivers(schedule.drivers);
          const streams = clients.map(async (client) => {
            await client.play();
            const { kind } = client.behaviour.fate;
            if (kind === "stays") await client.answers(countAnswers(client.sent));
            else await client.rest();
          });
          await scheduled.within("a stream", Promise.all([...streams, changes]));
          const stayed = clients.filter(({ behaviour }) => behaviour.fate.kind === "stays");
          await scheduled.within("a stream of events", assertFolded(scheduled, stayed));
          assertServed(scheduled, clients, true);
          for (const client of clients) client.destroy();
          await scheduled.within("a connection", scheduled.rest());
          await scheduled.assertAtRest();
          await scheduled.within("close()", scheduled.close());
          await scheduled.assertNothingLeft();
        });
      }),
      { numRuns: runs(15, 750) },
    );
  });

  it("the end of the daemon in the midst of it leaves nothing undone, and begins nothing", LONG, async () => {
    await fc.assert(
      fc.asyncProperty(schedule, behaviours, fc.nat(80), async (schedule, behaviours, after) => {
        await withClients(schedule, behaviours, async (scheduled, clients) => {
          const changes = scheduled.changeDrivers(schedule.drivers);
          const streams = clients.map(async (client) => {
            await client.play();
            await client.rest();
          });
          await scheduled.within("a turn", turns(after));
          await scheduled.within("close()", scheduled.close());
          await scheduled.within("a stream", Promise.all([...streams, changes]));
          assertServed(scheduled, clients, false);
          await scheduled.assertNothingLeft();
        });
      }),
      { numRuns: runs(15, 750) },
    );
  });
});
