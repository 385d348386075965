import * as z from "zod";
import { suffices } from "../../access/policy.ts";
import { lazily } from "../../lazily.ts";
import { mapInSteps } from "../../ranges/steps.ts";
import { EVENTS } from "../events.ts";
import { defineMethod, noParams } from "../method.ts";
import { jsonSchema, methodSchemas } from "../schema/json-schema.ts";
import { kept } from "../schema/kept.ts";
import { openRpcDocument } from "../schema/openrpc.ts";

const schema = lazily(() =>
  z.record(z.string(), z.unknown()).meta({ id: "JsonSchema", description: "A JSON Schema, draft-07" }),
);

export const queryVersion = defineMethod({
  name: "query-version",
  role: "observe",
  summary: "Who answers, and which version of the contract it keeps.",
  params: noParams,
  result: () =>
    z.object({
      name: z.string(),
      version: z.string().meta({ description: "Of the daemon" }),
      protocol: z.int().meta({ description: "Of the wire contract, as in the greeting" }),
    }),
  errors: [],
  handler: (_params, { daemon: { name, version, protocol } }) => ({ name, version, protocol }),
});

export const queryCommands = defineMethod({
  name: "query-commands",
  role: "observe",
  summary: "Every method that this client may call, with the role that it takes.",
  params: noParams,
  result: () =>
    z.object({
      commands: z.array(
        z.object({ name: z.string(), role: z.enum(["observe", "control"]), summary: z.string() }),
      ),
    }),
  errors: [],
  handler: (_params, { connection: { peer }, methods }) => ({
    commands: methods
      .filter(({ role }) => suffices(peer.role, role))
      .map(({ name, role, summary }) => ({ name, role, summary })),
  }),
});

const schemasOf = kept(function* (methods) {
  const described: [string, ReturnType<typeof methodSchemas>][] = [];
  for (const method of methods) {
    described.push([method.name, methodSchemas(method)]);
    yield;
  }
  const events = yield* mapInSteps(
    EVENTS,
    ({ name, params }) => [name, { params: jsonSchema(params) }] as const,
  );
  return { methods: Object.fromEntries(described), events: Object.fromEntries(events) };
});

export const querySchema = defineMethod({
  name: "query-schema",
  role: "observe",
  summary: "The JSON Schemas of every method and event.",
  params: noParams,
  result: () =>
    z.object({
      methods: z.record(z.string(), z.object({ params: schema(), result: schema() })),
      events: z.record(z.string(), z.object({ params: schema() })),
    }),
  errors: [],
  handler: (_params, { methods, slice }) => schemasOf(methods, slice),
});

const documentOf = kept(openRpcDocument);

export const discover = defineMethod({
  name: "rpc.discover",
  role: "observe",
  summary: "The methods as an OpenRPC 1.4 document.",
  params: noParams,
  result: () => z.record(z.string(), z.unknown()).meta({ description: "An OpenRPC document" }),
  errors: [],
  handler: (_params, { methods, slice }) => documentOf(methods, slice),
});
