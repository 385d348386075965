import * as z from "zod";

/** A JSON Schema, draft-07: the dialect that OpenRPC asks for. */
export type JsonSchema = z.core.JSONSchema.BaseSchema;

/**
 * The schema of the wire form. Of params that is what clients may write, before it is decoded; results are not decoded
 * and have one form only.
 */
export function jsonSchema(type: z.ZodType): JsonSchema {
  return z.toJSONSchema(type, { io: "input", target: "draft-7" });
}

/** The params and the result of a method. */
export function methodSchemas({ params, result }: { params: z.ZodType; result: z.ZodType }) {
  return { params: jsonSchema(params), result: jsonSchema(result) };
}
