import { readFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { expect, expectTypeOf, it } from "vitest";
import type { Client, DaemonEvent, Params, Result, Snapshot } from "../../src/client/index.ts";

const ROOT = new URL("../..", import.meta.url).pathname;
const SRC = `${ROOT}src`;
const { exports } = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8"));

/** All that a module loads, without what it loads only when asked for. */
function loaded(file: string, found = new Set<string>()): Set<string> {
  found.add(file.startsWith("/") ? relative(SRC, file) : file);
  if (!file.startsWith("/")) return found;
  const text = readFileSync(file, "utf8");
  for (const [, path = ""] of text.matchAll(/^(?:import|export) (?!type )[^;]*? from "(.*)";$/gm)) {
    loaded(path.startsWith(".") ? resolve(dirname(file), path) : path, found);
  }
  return found;
}

it("the package's client loads nothing but json-rpc-2.0, and of the daemon only the words of the wire", () => {
  const modules = [...loaded(`${SRC}/client/index.ts`)];
  const others = modules.filter((module) => !/^(client\/|node:)/.test(module));
  expect(others.sort()).toEqual([
    "json-rpc-2.0/dist/client.js",
    "json-rpc-2.0/dist/models.js",
    "rpc/framing.ts",
    "rpc/held-bytes.ts",
    "rpc/protocol.ts",
    "uapi/socket.ts",
    "uapi/struct.ts",
  ]);
  expect(modules).toContain("client/connection.ts");
});

it("what the package says about types is there", () => {
  expect(readFileSync(resolve(ROOT, exports["."].types), "utf8")).toContain("connect");
});

it("calls have the types of the method table", () => {
  expectTypeOf<Result<"query-version">>().toEqualTypeOf<{
    name: string;
    version: string;
    protocol: number;
  }>();
  expectTypeOf<Params<"hold-device">>().toEqualTypeOf<{
    readonly device: string;
    readonly context?: string | undefined;
  }>();
  const check = (client: Client) => [
    client.call("query-devices"),
    client.call("predict-allowed-ranges", { devices: ["0000:00:05.0"] as const }),
    // @ts-expect-error: there is no such method
    client.call("query-device"),
    // @ts-expect-error: the device is missing
    client.call("hold-device", {}),
    // @ts-expect-error: the params are missing
    client.call("hold-device"),
    // @ts-expect-error: no such member
    client.call("hold-device", { device: "0000:00:05.0", to: "vm" }),
  ];
  expect(check).toBeTypeOf("function");
  expectTypeOf<Snapshot["params"]["devices"][number]["device"]>().toEqualTypeOf<string>();
  expectTypeOf<DaemonEvent["params"]["sequence"]>().toEqualTypeOf<number>();
  expectTypeOf<DaemonEvent<"IOAS_CREATED">["params"]["ioas"]>().toEqualTypeOf<number>();
  // @ts-expect-error: there is no such event
  expectTypeOf<DaemonEvent<"DEVICE_AD">>().toBeObject();
});
