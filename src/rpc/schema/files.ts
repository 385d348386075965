import { finish } from "../../ranges/steps.ts";
import type { EventDefinition } from "../events.ts";
import type { Method } from "../method.ts";
import { jsonSchema, methodSchemas } from "./json-schema.ts";
import { openRpcDocument } from "./openrpc.ts";

/** The generated files under schemas/, by their path there. */
export function schemaFiles(
  methods: readonly Method[],
  events: readonly EventDefinition[],
): Map<string, string> {
  const files = new Map([["openrpc.json", text(finish(openRpcDocument(methods)))]]);
  for (const method of methods) files.set(`methods/${method.name}.json`, text(methodSchemas(method)));
  for (const { name, summary, params } of events) {
    files.set(`events/${name}.json`, text({ summary, params: jsonSchema(params) }));
  }
  return files;
}

function text(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
