import * as z from "zod";
import { suffices } from "../../access/policy.ts";
import { EVENTS } from "../events.ts";
import { defineMethod, type Method } from "../method.ts";
import { jsonSchema, methodSchemas } from "../schema/json-schema.ts";
import { openRpcDocument } from "../schema/openrpc.ts";

const noParams = z.strictObject({});
const schema = z
  .record(z.string(), z.unknown())
  .meta({ id: "JsonSchema", description: "A JSON Schema, draft-07" });

export const queryVersion = defineMethod({
  name: "query-version",
  role: "observe",
  summary: "Who answers, and which version of the contract it keeps.",
  params: noParams,
  result: z.object({
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
  result: z.object({
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

const schemasOf = kept((methods) => ({
  methods: Object.fromEntries(methods.map((method) => [method.name, methodSchemas(method)])),
  events: Object.fromEntries(EVENTS.map(({ name, params }) => [name, { params: jsonSchema(params) }])),
}));

export const querySchema = defineMethod({
  name: "query-schema",
  role: "observe",
  summary: "The JSON Schemas of every method and event.",
  params: noParams,
  result: z.object({
    methods: z.record(z.string(), z.object({ params: schema, result: schema })),
    events: z.record(z.string(), z.object({ params: schema })),
  }),
  errors: [],
  handler: (_params, { methods }) => schemasOf(methods),
});

const documentOf = kept(openRpcDocument);

export const discover = defineMethod({
  name: "rpc.discover",
  role: "observe",
  summary: "The methods as an OpenRPC 1.4 document.",
  params: noParams,
  result: z.record(z.string(), z.unknown()).meta({ description: "An OpenRPC document" }),
  errors: [],
  handler: (_params, { methods }) => documentOf(methods),
});

/** Made when first asked for; frozen, to be serialised once. */
function kept<T extends object>(make: (methods: readonly Method[]) => T): (methods: readonly Method[]) => T {
  const made = new WeakMap<readonly Method[], T>();
  return (methods) => {
    const known = made.get(methods) ?? Object.freeze(make(methods));
    made.set(methods, known);
    return known;
  };
}
