import { z } from "zod";
import { lazily } from "../../lazily.ts";
import { defineMethod, noParams } from "../method.ts";

const labels = lazily(() => z.record(z.string(), z.string()));
const common = lazily(() => ({ name: z.string(), help: z.string() }));

export const queryMetrics = defineMethod({
  name: "query-metrics",
  role: "observe",
  summary: "Counters, gauges and latencies, by name; --metrics-socket has the same as text.",
  params: noParams,
  result: () =>
    z.object({
      metrics: z.array(
        z.discriminatedUnion("type", [
          z.object({
            ...common(),
            type: z.enum(["counter", "gauge"]),
            samples: z.array(z.object({ labels: labels(), value: z.number() })),
          }),
          z.object({
            ...common(),
            type: z.literal("histogram"),
            distributions: z.array(
              z.object({
                labels: labels(),
                count: z.int(),
                sum: z.number(),
                buckets: z.array(z.object({ le: z.string(), count: z.int() })).meta({
                  description:
                    'How many took at most le seconds, the ones before included; the last is "+Inf"',
                }),
              }),
            ),
          }),
        ]),
      ),
    }),
  errors: [],
  // What is measured is read-only to us, and the wire's types are not.
  handler: (_params, { daemon }) => ({ metrics: structuredClone(daemon.metrics()) as never }),
});
