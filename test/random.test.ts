import { expect, it } from "vitest";
import { randomBytes, randomUuid } from "../src/random.ts";

it("as many random bytes as were asked for, and others the next time", () => {
  expect([0, 1, 256].map((count) => randomBytes(count).length)).toEqual([0, 1, 256]);
  expect(randomBytes(16).equals(randomBytes(16))).toBe(false);
});

it("UUIDs of version 4, no two alike", () => {
  const uuids = Array.from({ length: 200 }, randomUuid);
  for (const uuid of uuids)
    expect(uuid).toMatch(/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
  expect(new Set(uuids).size).toBe(uuids.length);
});
