import type { Steps } from "../../ranges/steps.ts";
import { EVENTS } from "../events.ts";
import type { Method } from "../method.ts";
import { type JsonSchema, jsonSchema } from "../schema/json-schema.ts";

/** One entity, as QEMU's qapi/introspect.json: SchemaInfo describes it. */
export type SchemaInfo = Record<string, unknown> & { readonly name: string; readonly "meta-type": string };

/** JSON types that are types of QAPI as they are, under QAPI's names. */
const BUILTINS: Readonly<Record<string, string>> = {
  string: "str",
  integer: "int",
  number: "number",
  boolean: "bool",
  null: "null",
};

/** All commands and events, then the types that they are made of. Names of types mean nothing, as QEMU's. */
export function* qmpSchema(methods: Iterable<Method>): Steps<SchemaInfo[]> {
  const types = new Types();
  const entities: SchemaInfo[] = [];
  for (const { name, params, result } of methods) {
    entities.push({
      name,
      "meta-type": "command",
      "arg-type": types.of(jsonSchema(params)),
      "ret-type": types.of(jsonSchema(result)),
      "allow-oob": false,
    });
    yield;
  }
  for (const { name, params } of EVENTS) {
    // The timestamp stands beside an event's data.
    const data = jsonSchema(params.omit({ timestamp: true }));
    entities.push({ name, "meta-type": "event", "arg-type": types.of(data) });
    yield;
  }
  return [...entities, ...types.all()];
}

/** The types of a schema, each described once. */
class Types {
  readonly #infos = new Map<string, SchemaInfo>();
  /** Names of the types that were met, by what they are. */
  readonly #names = new Map<string, string>();

  all(): SchemaInfo[] {
    return [...this.#infos.values()];
  }

  /** The name of the type. `definitions`: what `$ref` may refer to. */
  of(schema: JsonSchema, definitions = schema.definitions as Record<string, JsonSchema> | undefined): string {
    const reference = schema.$ref?.split("/").at(-1);
    if (reference !== undefined) return this.of(definitions?.[reference] ?? {}, definitions);
    const { type, allOf } = schema;
    if (allOf?.length === 1) return this.of(allOf[0] as JsonSchema, definitions);
    if (schema.enum) return this.#add("enum", { values: schema.enum, members: schema.enum.map(named) });
    if (type === "array") {
      const element = this.of((schema.items ?? {}) as JsonSchema, definitions);
      return this.#add("array", { "element-type": element }, `[${element}]`);
    }
    if (type === "object" && schema.properties) {
      const required = new Set(schema.required);
      const members = Object.entries(schema.properties).map(([name, member]) => ({
        name,
        type: this.of(member as JsonSchema, definitions),
        ...(required.has(name) ? {} : { default: null }),
      }));
      return this.#add("object", { members });
    }
    const choices =
      schema.anyOf ??
      schema.oneOf ??
      (Array.isArray(type) ? type.map((each) => ({ ...schema, type: each })) : undefined);
    if (choices) {
      const members = choices.map((each) => ({ type: this.of(each as JsonSchema, definitions) }));
      return this.#add("alternate", { members });
    }
    const builtin = typeof type === "string" ? BUILTINS[type] : undefined;
    return builtin === undefined
      ? this.#add("builtin", { "json-type": "value" }, "any")
      : this.#add("builtin", { "json-type": type === "integer" ? "int" : type }, builtin);
  }

  #add(metaType: string, rest: Record<string, unknown>, name?: string): string {
    const key = JSON.stringify([metaType, rest]);
    const known = this.#names.get(key);
    if (known !== undefined) return known;
    const chosen = name ?? String(this.#infos.size);
    this.#names.set(key, chosen);
    this.#infos.set(chosen, { name: chosen, "meta-type": metaType, ...rest });
    return chosen;
  }
}

function named(name: unknown) {
  return { name };
}
