import fc from "fast-check";

/** The part of JSON Schema that the daemon's params use. */
export interface Schema {
  type?: string | string[];
  const?: unknown;
  enum?: unknown[];
  anyOf?: Schema[];
  oneOf?: Schema[];
  allOf?: Schema[];
  $ref?: string;
  definitions?: Record<string, Schema>;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  pattern?: string;
  minimum?: number;
  maximum?: number;
}

/** Values that a careless or hostile client would put anywhere. */
const ANYTHING: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom(
    null,
    true,
    false,
    0,
    -1,
    1.5,
    2 ** 53,
    1e300,
    "",
    "0x",
    "0x0",
    "0xffffffffffffffff",
    [],
    {},
  ),
  fc.constantFrom(
    "0x10000000000000000",
    "default",
    "../../etc",
    "\u0000",
    "\ud800",
    "__proto__",
    "x".repeat(5000),
  ),
  fc.constantFrom({ __proto__: null }, { constructor: 1 }, [[[[]]]], { start: "0x1", last: "0x0" }),
  fc.jsonValue({ maxDepth: 2 }),
);

/** A list of one wrong thing many times, or of different ones. */
const wrongThings = fc.oneof(
  fc.tuple(ANYTHING, fc.nat(300)).map(([thing, count]) => Array(count).fill(thing)),
  fc.array(ANYTHING, { maxLength: 20 }),
);

const HEX = fc.bigInt(0n, 2n ** 64n - 1n).map((value) => `0x${value.toString(16)}`);

/** Values of a schema; now and then, at any place, something else. `known` are names that mean something. */
export function fromSchema(
  schema: Schema,
  known: readonly string[],
  root: Schema = schema,
): fc.Arbitrary<unknown> {
  return fc.oneof({ weight: 14, arbitrary: proper(schema, known, root) }, { weight: 1, arbitrary: ANYTHING });
}

function proper(schema: Schema, known: readonly string[], root: Schema): fc.Arbitrary<unknown> {
  const down = (inner: Schema) => fromSchema(inner, known, root);
  if (schema.$ref) return proper(resolve(schema.$ref, root), known, root);
  if (schema.allOf)
    return proper(Object.assign({}, ...schema.allOf, schema, { allOf: undefined }), known, root);
  if ("const" in schema) return fc.constant(schema.const);
  if (schema.enum) return fc.constantFrom(...schema.enum);
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return fc.oneof(...choices.map(down));
  const [type] = [schema.type ?? "object"].flat();
  switch (type) {
    case "object": {
      const properties = Object.entries(schema.properties ?? {});
      const members = Object.fromEntries(properties.map(([name, inner]) => [name, down(inner)]));
      const extra = fc.constantFrom(...Array(19).fill({}), { "no-such-member": 1 });
      const required = (schema.required ?? []).filter((name) => name in members);
      return fc
        .tuple(fc.record(members, { requiredKeys: required }), extra)
        .map(([record, more]) => ({ ...record, ...more }));
    }
    case "array":
      return fc.oneof(
        { weight: 9, arbitrary: fc.array(down(schema.items ?? {}), { maxLength: 5 }) },
        { weight: 1, arbitrary: wrongThings },
      );
    case "integer":
      return fc.oneof(fc.integer({ min: 0, max: 6 }), fc.maxSafeInteger());
    case "number":
      return fc.double();
    case "boolean":
      return fc.boolean();
    case "null":
      return fc.constant(null);
    default:
      return schema.pattern?.startsWith("^0x") ? HEX : fc.oneof(fc.constantFrom(...known), fc.string());
  }
}

function resolve(ref: string, root: Schema): Schema {
  const name = ref.split("/").at(-1) as string;
  return root.definitions?.[name] ?? {};
}
