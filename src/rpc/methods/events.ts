import { z } from "zod";
import { EVENTS } from "../events.ts";
import { defineMethod } from "../method.ts";
import { queryContexts, queryIoas } from "./address-spaces.ts";
import { queryDevices } from "./host.ts";

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
    devices: queryDevices.result.shape.devices,
    contexts: queryContexts.result.shape.contexts,
    ioas: queryIoas.result.shape.ioas,
  }),
  errors: ["LimitExceeded"],
  handler: async ({ events }, call) => {
    // Subscribed first: an event that comes while the snapshot is made is sent, not lost.
    call.events.subscribe(call.connection, events);
    const { sequence } = call.events;
    const { devices } = await queryDevices.handler({}, call);
    const { contexts } = await queryContexts.handler({}, call);
    const { ioas } = await queryIoas.handler({}, call);
    return { sequence, devices, contexts, ioas };
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
