import * as z from "zod";
import { lazily } from "../../lazily.ts";
import { EVENTS } from "../events.ts";
import { contextName, device } from "../inputs.ts";
import { defineMethod, noParams } from "../method.ts";
import { toWireDevice, toWireSnapshot, wireContext, wireDevice, wireIoas } from "../records.ts";

const eventName = lazily(() => z.enum(EVENTS.map(({ name }) => name)).meta({ id: "EventName" }));
const eventNames = lazily(() =>
  z.array(eventName()).max(64).optional().meta({ description: "Only these; without it, all" }),
);
const instance = lazily(() =>
  z.string().meta({ description: "Of the lineage of state that the sequence counts in" }),
);
const sequence = lazily(() => z.int().nonnegative());

export const subscribe = defineMethod({
  name: "subscribe",
  role: "observe",
  summary:
    "Sends events over this connection from now on, and answers with everything as it stands now, or goes on where an earlier subscription ended.",
  params: () =>
    z.strictObject({
      events: eventNames(),
      since: z
        .strictObject({ instance: z.string().max(64), sequence: sequence() })
        .optional()
        .meta({
          description:
            "The last event that the client has: when all behind it are remembered, they follow and there is no snapshot",
        }),
    }),
  result: () =>
    z.object({
      instance: instance(),
      sequence: z.int().meta({ description: "Of the last event that the answer includes" }),
      resumed: z.boolean(),
      devices: z.array(wireDevice()).optional(),
      contexts: z.array(wireContext()).optional(),
      ioas: z.array(wireIoas()).optional(),
    }),
  errors: ["LimitExceeded", "KernelError"],
  handler: async ({ events: names, since }, call) => {
    const { connection, events, host, slice } = call;
    const { instance } = events;
    if (since && events.remembers(since)) {
      events.subscribe(connection, names, since.sequence);
      return { instance, sequence: since.sequence, resumed: true };
    }
    await host.look(slice);
    // Each device keeps its form, so that the snapshot is made in one piece with the sequence that it belongs to.
    await slice.map(host.snapshot().devices, toWireDevice);
    const { sequence } = events;
    events.subscribe(connection, names, sequence);
    return { instance, sequence, resumed: false, ...toWireSnapshot(host.snapshot()) };
  },
});

export const unsubscribe = defineMethod({
  name: "unsubscribe",
  role: "observe",
  summary: "Sends no more events over this connection.",
  params: noParams,
  result: () => z.object({}),
  errors: [],
  handler: (_params, { connection, events }) => {
    events.unsubscribe(connection);
    return {};
  },
});

export const queryEvents = defineMethod({
  name: "query-events",
  role: "observe",
  summary: "Past events, as far as they are remembered, oldest first.",
  params: () =>
    z.strictObject({
      since: sequence().optional().meta({ description: "Only those behind this one" }),
      events: eventNames(),
      device: device().optional().meta({ description: "Only those that name the device" }),
      context: contextName().optional().meta({ description: "Only those that name the context" }),
      limit: z.int().positive().optional().meta({ description: "At most so many: the latest of them" }),
    }),
  result: () =>
    z.object({
      events: z.array(z.object({ method: z.string(), params: z.record(z.string(), z.unknown()) })),
      oldest: z.int().meta({ description: "The sequence of the oldest event that is remembered" }),
    }),
  errors: [],
  handler: async ({ since = 0, events: names, device, context, limit }, { events: { log }, slice }) => {
    const wanted = names && new Set<string>(names);
    const matches = await slice.filter(
      log.after(since),
      ({ method, params }) =>
        (wanted?.has(method) ?? true) &&
        (device === undefined || params.device === device) &&
        (context === undefined || params.context === context),
    );
    const chosen = limit === undefined ? matches : matches.slice(-limit);
    return { events: chosen.map(({ method, params }) => ({ method, params })), oldest: log.oldest };
  },
});
