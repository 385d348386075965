import type { Method } from "../method.ts";
import { methodSchemas } from "./json-schema.ts";
import { openRpcDocument } from "./openrpc.ts";

/** The generated files under schemas/, by their path there. */
export function schemaFiles(methods: readonly Method[]): Map<string, string> {
  const files = new Map([["openrpc.json", text(openRpcDocument(methods))]]);
  for (const method of methods) files.set(`methods/${method.name}.json`, text(methodSchemas(method)));
  return files;
}

function text(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}
