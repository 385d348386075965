import { isDeepStrictEqual } from "node:util";
import type { Steps } from "../../ranges/steps.ts";
import { ERROR_CODES, ERROR_SUMMARIES } from "../errors.ts";
import type { Method } from "../method.ts";
import { PROTOCOL } from "../protocol.ts";
import { type JsonSchema, jsonSchema } from "./json-schema.ts";

/** The methods as an OpenRPC 1.4 document. Its version is that of the wire contract, not of the daemon. */
export function* openRpcDocument(methods: readonly Method[]): Steps<Record<string, unknown>> {
  const schemas: Record<string, JsonSchema> = {};
  const described: ReturnType<typeof describe>[] = [];
  for (const method of methods) {
    described.push(describe(method, schemas));
    yield;
  }
  return {
    openrpc: "1.4.1",
    info: {
      title: "iovad",
      description: "Which IO virtual addresses VFIO devices can use. JSON-RPC 2.0, one message a line.",
      version: `${PROTOCOL}.0.0`,
      license: { name: "MIT" },
    },
    servers: [{ name: "default", url: "unix:///run/iovad/iovad.sock" }],
    methods: described,
    components: { schemas: Object.fromEntries(Object.entries(schemas).sort(byName)) },
  };
}

function describe(method: Method, schemas: Record<string, JsonSchema>) {
  const params = hoist(jsonSchema(method.params), schemas);
  const required = new Set(params.required);
  return {
    name: method.name,
    summary: method.summary,
    paramStructure: "by-name",
    // OpenRPC: all optional params MUST be positioned after all required ones.
    params: Object.entries(params.properties ?? {})
      .map(([name, schema]) => ({ name, required: required.has(name), schema }))
      .sort((a, b) => Number(b.required) - Number(a.required)),
    result: { name: "result", schema: hoist(jsonSchema(method.result), schemas) },
    errors: method.errors.map((name) => ({
      code: ERROR_CODES[name],
      message: ERROR_SUMMARIES[name],
      data: { class: name },
    })),
    "x-role": method.role,
  };
}

/** Moves the definitions of a schema to the document's components, where all methods share them. */
function hoist({ $schema: _, ...schema }: JsonSchema, schemas: Record<string, JsonSchema>): JsonSchema {
  const { definitions = {}, ...rest } = JSON.parse(
    JSON.stringify(schema).replaceAll('"#/definitions/', '"#/components/schemas/'),
  ) as JsonSchema & { definitions?: Record<string, JsonSchema> };
  for (const [name, definition] of Object.entries(definitions)) {
    if (schemas[name] !== undefined && !isDeepStrictEqual(schemas[name], definition)) {
      throw new Error(`two types call themselves ${name}`);
    }
    schemas[name] = definition;
  }
  return rest;
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}
