import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { EventHub } from "../../src/rpc/event-hub.ts";
import type { Connection } from "../../src/rpc/method.ts";
import { request, startServer } from "./stub.ts";

const EVENTS = 3000;

it.each([4096, 100_000])(
  "a subscriber that reads late gets or is told of every event, with a queue of %i bytes",
  async (queue) => {
    const server = await startServer({ queue });
    const client = await server.connect();
    client.send(request(1, "watch"));
    await client.next();
    const events = new EventHub();
    events.subscribe(server.connections[0] as Connection, undefined);
    client.socket.pause();
    for (let event = 0; event < EVENTS; event++) {
      events.publish({ event: "CONTEXT_CREATED", context: "c".repeat(60) });
      if (event % 100 === 0) await nextTurn();
    }
    client.socket.resume();
    let got = 0;
    let lost = 0;
    while (got + lost < EVENTS) {
      const { method, params } = await client.next();
      if (method === "EVENTS_LOST") lost += params.count;
      else got++;
    }
    expect(got + lost).toBe(EVENTS);
    expect(lost).toBeGreaterThan(0);
    await server.stop();
  },
);
