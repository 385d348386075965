import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { whole } from "../../src/rpc/text.ts";
import { bystander, dispatcherOf, request } from "./stub.ts";

const call = bystander({ version: "4.5.6", backend: "linux" });

const INTROSPECTION = ["query-version", "query-commands", "query-schema", "rpc.discover"];

async function ask(name: string) {
  const rpc = dispatcherOf(METHODS, (error) => expect.unreachable(String(error)));
  const answer = JSON.parse(
    whole((await rpc.answer(JSON.stringify(request(1, name)), call, () => true)) ?? ""),
  );
  const method = METHODS.find((each) => each.name === name);
  expect(method?.result.safeParse(answer.result).success).toBe(true);
  return answer.result;
}

describe("introspection", () => {
  it("query-version names the daemon and both versions", async () => {
    expect(await ask("query-version")).toEqual({ name: "iovad", version: "4.5.6", protocol: 1 });
  });

  it("query-commands lists every method of the table, with role and summary", async () => {
    const { commands } = await ask("query-commands");
    expect(commands).toEqual(METHODS.map(({ name, role, summary }) => ({ name, role, summary })));
    expect(commands.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(INTROSPECTION));
  });

  it("query-schema has the schemas of every method", async () => {
    const { methods, events } = await ask("query-schema");
    expect(Object.keys(methods)).toEqual(METHODS.map(({ name }) => name));
    expect(methods["query-version"]).toMatchObject({
      params: { type: "object" },
      result: { type: "object" },
    });
    expect(events).toBeTypeOf("object");
  });

  it("rpc.discover is the checked-in OpenRPC document", async () => {
    const file = readFileSync(new URL("../../schemas/openrpc.json", import.meta.url), "utf8");
    expect(await ask("rpc.discover")).toEqual(JSON.parse(file));
  });
});
