import { readdirSync, readFileSync } from "node:fs";
import { OpenRPCSpecificationSchema1_4 } from "@open-rpc/spec";
import { Ajv, type AnySchemaObject } from "ajv";
import draft07 from "ajv/dist/refs/json-schema-draft-07.json" with { type: "json" };
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { finish } from "../../src/ranges/steps.ts";
import { EVENTS } from "../../src/rpc/events.ts";
import { address } from "../../src/rpc/inputs.ts";
import { defineMethod, type Method } from "../../src/rpc/method.ts";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { schemaFiles } from "../../src/rpc/schema/files.ts";
import { jsonSchema, methodSchemas } from "../../src/rpc/schema/json-schema.ts";
import { kept } from "../../src/rpc/schema/kept.ts";
import { openRpcDocument } from "../../src/rpc/schema/openrpc.ts";
import { TimeSlices } from "../../src/rpc/time-slices.ts";
import { wireRanges } from "../../src/rpc/wire.ts";

/** OpenRPC's schema for 1.4. It refers to a schema of JSON Schemas that is draft-07 under another name. */
function validateOpenRpc() {
  const { $schema: _, ...metaSchema } = OpenRPCSpecificationSchema1_4 as AnySchemaObject;
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const { $id: __, ...jsonSchema } = draft07 as AnySchemaObject;
  ajv.addSchema(jsonSchema, "https://meta.json-schema.tools");
  ajv.addSchema(
    { definitions: { JSONSchemaObject: { properties: { $ref: { type: "string" } } } } },
    "https://meta.json-schema.tools/",
  );
  return ajv.compile(metaSchema);
}

describe("the method table", () => {
  it("names every method once, verb first, in kebab-case", () => {
    const names = METHODS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    for (const name of names) expect(name).toMatch(/^(rpc\.discover|(un)?subscribe|[a-z]+(-[a-z]+)+)$/);
  });

  it("calls every query an observation", () => {
    for (const { name, role } of METHODS)
      if (name.startsWith("query-")) expect([name, role]).toEqual([name, "observe"]);
  });

  it("says in one sentence or two what each method does", () => {
    for (const { summary } of METHODS) expect(summary).toMatch(/^[A-Z].*\.$/);
  });

  it("has params that refuse unknown members", () => {
    for (const { name, params } of METHODS) {
      expect([name, params.safeParse({ "no-such-member": 1 }).error?.issues.at(-1)?.code]).toEqual([
        name,
        "unrecognized_keys",
      ]);
    }
  });

  it("names its members in kebab-case", () => {
    const names = [...JSON.stringify(METHODS.map(methodSchemas)).matchAll(/"properties":\{"([^"]+)"/g)];
    expect(names.length).toBeGreaterThan(METHODS.length);
    for (const [, name] of names) expect(name).toMatch(/^[a-z]+(-[a-z]+)*$/);
  });
});

/** One for all, for each has to compile the schema of schemas. */
const strict = new Ajv({ strict: true, allowUnionTypes: true });

describe("the JSON Schemas", () => {
  it.each(METHODS.map((method) => [method.name, method] as const))(
    "of %s are valid and strict",
    (_name, method) => {
      const { params, result } = methodSchemas(method);
      expect(() => [strict.compile(params), strict.compile(result)]).not.toThrow();
      expect(params).toMatchObject({ type: "object", additionalProperties: false });
    },
  );

  it("describe what clients may write, before it is decoded", () => {
    const { params } = methodSchemas({ params: z.strictObject({ start: address() }), result: z.unknown() });
    const valid = new Ajv({ allowUnionTypes: true }).compile(params);
    for (const start of ["0xFEE00000", "0x000", 4096]) expect(valid({ start })).toBe(true);
    for (const start of ["1", -1, 2 ** 53, null]) expect(valid({ start })).toBe(false);
    expect(valid({ start: 1, last: 2 })).toBe(false);
  });
});

describe("the event table", () => {
  it("says in one sentence or two when each event comes", () => {
    for (const { summary } of EVENTS) expect(summary).toMatch(/^[A-Z].*\.$/);
  });

  it.each(EVENTS.map((event) => [event.name, event] as const))(
    "has a valid and strict schema of %s, whose every member is always there",
    (_name, { params }) => {
      const schema = jsonSchema(params);
      expect(() => strict.compile(schema)).not.toThrow();
      expect(schema.required).toEqual(Object.keys(schema.properties ?? {}));
      expect(schema.required).toEqual(expect.arrayContaining(["sequence", "timestamp"]));
    },
  );
});

describe("the OpenRPC document", () => {
  const validate = validateOpenRpc();

  it("validates against OpenRPC's schema", () => {
    validate(finish(openRpcDocument(METHODS)));
    expect(validate.errors).toBeNull();
  });

  it("would not, were a method without a name (the schema does look)", () => {
    const document = finish(openRpcDocument(METHODS)) as { methods: { name?: string }[] };
    delete document.methods[0]?.name;
    expect(validate(document)).toBe(false);
  });

  it("has a component behind every reference", () => {
    const text = JSON.stringify(finish(openRpcDocument(METHODS)));
    const { components } = JSON.parse(text);
    const references = [...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, path]) => path as string);
    expect(references.length).toBeGreaterThan(0);
    for (const path of references) {
      const [first, second, name] = path.split("/");
      expect([first, second]).toEqual(["components", "schemas"]);
      expect(Object.keys(components.schemas)).toContain(name);
    }
  });

  it("says which params are required, and names them first", () => {
    const shape = { two: address().optional(), one: address() };
    const document = finish(openRpcDocument([method("m", shape)]));
    expect(document).toMatchObject({
      methods: [
        {
          params: [
            { name: "one", required: true },
            { name: "two", required: false },
          ],
        },
      ],
    });
  });

  it("cannot be made of two types that bear one name", () => {
    const first = method("a", { x: z.string().meta({ id: "Twice" }) });
    const second = method("b", { x: z.number().meta({ id: "Twice" }) });
    expect(() => finish(openRpcDocument([first, second]))).toThrow("two types call themselves Twice");
  });
});

describe("the files under schemas/", () => {
  const root = new URL("../../schemas/", import.meta.url);

  it("are those that the code generates (run npm run schemas)", () => {
    const checkedIn = readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => `${parentPath}/${name}`.slice(root.pathname.length).replace(/^\//, ""));
    const generated = schemaFiles(METHODS, EVENTS);
    expect(checkedIn.sort(), "run npm run schemas").toEqual([...generated.keys()].sort());
    for (const [path, text] of generated) {
      expect(readFileSync(new URL(path, root), "utf8") === text, `${path}: run npm run schemas`).toBe(true);
    }
  });
});

function method(name: string, params: z.core.$ZodLooseShape): Method {
  return defineMethod({
    name,
    role: "observe",
    summary: "A stub.",
    params: () => z.strictObject(params),
    result: () => wireRanges(),
    errors: [],
    handler: () => [],
  });
}

it("a description that many ask for at once is put together once, by all of them", async () => {
  let begun = 0;
  const describedIn = kept(function* () {
    begun++;
    for (let step = 0; step < 100; step++) yield;
    return { text: "whole" };
  });
  // A turn has room for one step.
  let now = 0;
  const slices = new TimeSlices(() => now++ * 3);
  const methods: Method[] = [];
  const all = await Promise.all(
    Array.from({ length: 10 }, (_, uid) => describedIn(methods, slices.slice(uid))),
  );
  expect(begun).toBe(1);
  expect(new Set(all)).toEqual(new Set([{ text: "whole" }]));
});
