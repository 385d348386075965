import { setImmediate as nextTurn } from "node:timers/promises";
import { afterEach, expect, it } from "vitest";
import type { Limits } from "../../src/limits.ts";
import { type Client, request, startServer } from "./stub.ts";

const EVENTS = 3000;

let server: Awaited<ReturnType<typeof startServer>>;
afterEach(() => server.stop());

/** A subscriber that has begun to read when all events are published. */
async function readLate(limits: Partial<Limits> = {}): Promise<Client> {
  server = await startServer(limits);
  const client = await server.connect();
  client.send(request(1, "listen"));
  await client.next();
  client.socket.pause();
  for (let event = 0; event < EVENTS; event++) {
    server.events.publish({
      event: "CONTEXT_DESTROYED",
      context: "c".repeat(60),
      cause: "request",
      uid: null,
    });
    if (event % 100 === 0) await nextTurn();
  }
  client.socket.resume();
  return client;
}

it.each([
  ["a queue of 4096 bytes", { "max-queue": 4096 }],
  ["a queue of 100,000 bytes", { "max-queue": 100_000 }],
  ["a history of 50 events", { "event-history": 50 }],
])("a subscriber that reads late gets or is told of every event, with %s", async (_what, limits) => {
  const client = await readLate(limits);
  let got = 0;
  let lost = 0;
  while (got + lost < EVENTS) {
    const { method, params } = await client.next();
    if (method === "EVENTS_LOST") lost += params.count;
    else got++;
  }
  expect(got + lost).toBe(EVENTS);
  expect(lost).toBeGreaterThan(0);
  expect(server.events.lost).toBe(lost);
});

it("a subscriber that reads late loses nothing that its queue has room for", async () => {
  const client = await readLate();
  const sequences: number[] = [];
  while (sequences.length < EVENTS) sequences.push((await client.next()).params.sequence);
  expect(sequences).toEqual(Array.from({ length: EVENTS }, (_, index) => index + 1));
});
