import { z } from "zod";
import { EVENTS } from "../events.ts";
import { defineMethod } from "../method.ts";
import { toWireDevice, toWireSnapshot, wireContext, wireDevice, wireIoas } from "../records.ts";

const eventName = z.enum(EVENTS.map(({ name }) => name)).meta({ id: "EventName" });

export const subscribe = defineMethod({
  name: "subscribe",
  role: "observe",
  summary: "Sends events over this connection from now on, and answers with everything as it stands now.",
  params: z.strictObject({
    events: z.array(eventName).optional().meta({ description: "Only these; without it, all" }),
  }),
  result: z.object({
    sequence: z.int().meta({ description: "Of the last event that the snapshot includes" }),
    devices: z.array(wireDevice),
    contexts: z.array(wireContext),
    ioas: z.array(wireIoas),
  }),
  errors: ["LimitExceeded", "KernelError"],
  handler: async ({ events }, call) => {
    const { host, slice } = call;
    await host.look(slice);
    // Each device keeps its form: the snapshot itself is made in one piece with its sequence.
    await slice.map(host.snapshot().devices, toWireDevice);
    call.events.subscribe(call.connection, events);
    return { sequence: call.events.sequence, ...toWireSnapshot(host.snapshot()) };
  },
});

export const unsubscribe = defineMethod({
  name: "unsubscribe",
  role: "observe",
  summary: "Sends no more events over this connection.",
  params: z.strictObject({}),
  result: z.object({}),
  errors: [],
  handler: (_params, { connection, events }) => {
    events.unsubscribe(connection);
    return {};
  },
});
