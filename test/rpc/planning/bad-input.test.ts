import { describe, expect, it } from "vitest";
import type { LimitName } from "../../../src/limits.ts";
import { Client } from "./client.ts";

const GPU = "0000:41:00.0";
const list = [{ start: 0, last: 1 }];
const host = { host: "a", allowed: list };
const hostsNamed = (names: string) => [...names].map((name) => ({ ...host, host: name }));

describe("planning refuses", () => {
  it("unknown devices among known ones, and says which", async () => {
    const amd = Client.onDemoHost("amd");
    for (const method of ["predict-allowed-ranges", "query-host-profile"]) {
      const one = await amd.refusal(method, { devices: [GPU, "0000:99:00.0"] });
      expect(one).toMatchObject({ code: -32001, data: { class: "DeviceNotFound", device: "0000:99:00.0" } });
      expect(one.message).toContain("0000:99:00.0");
      expect(one.message).not.toContain(GPU);
      const two = await amd.refusal(method, { devices: ["0000:98:00.0", GPU, "0000:99:00.0"] });
      expect(two.message).toContain("no devices 0000:98:00.0, 0000:99:00.0 ");
      expect(two.data).toEqual({ class: "DeviceNotFound", devices: ["0000:98:00.0", "0000:99:00.0"] });
    }
  });

  it("a great number of unknown devices in few words", async () => {
    const devices = Array.from({ length: 1000 }, (_, n) => `no-${n}`);
    const error = await Client.onDemoHost("amd").refusal("predict-allowed-ranges", { devices });
    expect(error.message.length).toBeLessThan(200);
    expect(error.data.devices).toEqual(devices);
  });

  it("an IOAS and a context that are not there", async () => {
    const client = new Client({});
    expect((await client.refusal("predict-allowed-ranges", { ioas: 7 })).data.class).toBe("IoasNotFound");
    const error = await client.refusal("find-free-range", { size: 1, context: "x", ioas: 7 });
    expect(error.data.class).toBe("ContextNotFound");
  });

  it.each<[string, object, string]>([
    ["predict-allowed-ranges", { context: "default" }, "context: says nothing without an ioas"],
    ["predict-allowed-ranges", { devices: GPU }, "devices"],
    [
      "predict-allowed-ranges",
      { hosts: [{ host: "a", allowed: [{ start: 2, last: 1 }] }] },
      "hosts[0].allowed[0]",
    ],
    ["predict-allowed-ranges", { hosts: [{ allowed: list }] }, "hosts[0].host"],
    ["predict-allowed-ranges", { hosts: [{ host: "a b", allowed: list }] }, "hosts[0].host"],
    [
      "predict-allowed-ranges",
      { hosts: [{ host: "a", allowed: list, "iova-alignment": 3 }] },
      "hosts[0].iova-alignment: expected a power of two",
    ],
    [
      "predict-allowed-ranges",
      { hosts: [{ host: "a", allowed: list, "schema-version": 2 }] },
      "hosts[0].schema-version",
    ],
    [
      "predict-allowed-ranges",
      { hosts: [{ host: "a", profile: { allowed: list, "schema-version": 2, a: 1, b: 1, c: 1 } }] },
      "hosts[0].profile.schema-version: this daemon knows profiles of version 1, and this one is of version 2",
    ],
    ["predict-allowed-ranges", { hosts: [{ host: "a" }] }, "hosts[0].allowed: this member is required"],
    [
      "predict-allowed-ranges",
      { hosts: [{ host: "a", allowed: list, profile: { allowed: list } }] },
      "hosts[0].allowed: contradicts profile",
    ],
    [
      "predict-allowed-ranges",
      { hosts: [host, { host: "a", profile: { allowed: list } }] },
      'hosts[1].host: "a" stands there already',
    ],
    ["predict-allowed-ranges", { hosts: [{ host: "a", allowd: list }] }, 'unknown member "allowd"'],
    ["predict-allowed-ranges", {}, "devices: give devices, an ioas or hosts"],
    ["predict-allowed-ranges", { devices: [], hosts: [] }, "devices: give devices, an ioas or hosts"],
    ["check-layout", { layout: [] }, "devices: give devices, an ioas or hosts"],
    ["check-layout", { layout: [], devices: [] }, "devices: give devices, an ioas or hosts"],
    ["find-free-range", { size: 1, hosts: [] }, "devices: give devices, an ioas or hosts"],
    ["explain-range", { start: 0, last: 1, devices: [] }, "devices: give devices, an ioas or hosts"],
    ["query-host-profile", { devices: [] }, "devices: name at least one"],
    ["predict-allowed-ranges", { hosts: hostsNamed("aba") }, 'hosts[2].host: "a" stands there already'],
    ["explain-range", { start: 0, last: 1, context: "nobody" }, "context: says nothing without an ioas"],
    ["explain-range", { start: 5, last: 4 }, "start lies above last"],
    ["explain-range", { start: 5 }, "last: this member is required"],
    ["find-free-range", {}, "size: this member is required"],
    ["find-free-range", { size: 0 }, "size: expected at least 1 byte"],
    ["find-free-range", { size: 1, alignment: 0 }, "alignment: expected a power of two"],
    ["find-free-range", { size: 1, alignment: 12 }, "alignment: expected a power of two"],
    ["find-free-range", { size: 1, direction: "left" }, "direction"],
    ["find-free-range", { size: 1, avoid: [{ start: 1, last: 0 }] }, "avoid[0]"],
    ["intersect-ranges", {}, "lists: this member is required"],
    ["intersect-ranges", { lists: list }, "lists[0]"],
    ["invert-ranges", { ranges: list, within: { start: 1, last: 0 } }, "within"],
    ["query-host-profile", { host: "" }, "host: expected a name"],
  ])("%s %j", async (method, params, message) => {
    const error = await Client.onDemoHost("amd").refusal(method, params);
    expect(error.code).toBe(-32602);
    expect(error.message).toContain(message);
  });

  it.each<[string, string, LimitName, object, string]>([
    [
      "devices",
      "predict-allowed-ranges",
      "max-devices",
      { devices: Array(4).fill(GPU) },
      "devices: 4 devices",
    ],
    [
      "devices",
      "query-host-profile",
      "max-devices",
      { devices: Array(4).fill(GPU) },
      "ask about them in parts",
    ],
    ["hosts", "find-free-range", "max-hosts", { size: 1, hosts: hostsNamed("abcd") }, "hosts: 4 hosts"],
    ["lists", "intersect-ranges", "max-lists", { lists: Array(4).fill([]) }, "lists: 4 lists"],
    [
      "windows",
      "check-layout",
      "max-windows",
      { hosts: [host], layout: Array(4).fill({ name: "a", ...list[0] }) },
      "layout: 4 windows",
    ],
    [
      "ranges to avoid",
      "find-free-range",
      "max-ranges",
      { size: 1, hosts: [host], avoid: Array(4).fill(list[0]) },
      "avoid: 4 ranges",
    ],
    ["ranges", "invert-ranges", "max-ranges", { ranges: Array(4).fill(list[0]) }, "ranges: 4 ranges"],
  ])("more %s than its limit in %s, whatever %s is, and says what to do", async (...given) => {
    const [, method, limit, params, message] = given;
    const few = Client.onDemoHost("amd", { [limit]: 3 });
    const error = await few.refusal(method, params);
    expect(error).toMatchObject({ code: -32011, data: { class: "LimitExceeded", limit } });
    expect(error.message).toContain(message);
    expect(error.message).toMatch(new RegExp(`3 are the most \\(${limit}\\); .+`));
    await Client.onDemoHost("amd", { [limit]: 4 }).ask(method, params);
  });

  it.each([
    ["predict-allowed-ranges", "devices", GPU],
    ["predict-allowed-ranges", "hosts", host],
    ["intersect-ranges", "lists", []],
  ])("a request of %s whose %s nobody would allow, unseen", async (method, member, item) => {
    const error = await new Client({}).refusal(method, { [member]: Array(65_537).fill(item) });
    expect(error).toMatchObject({
      code: -32602,
      message: expect.stringContaining(`${member}: at most 65536`),
    });
  });

  it("more ranges than its limit, over all hosts", async () => {
    const hosts = Array.from({ length: 7 }, (_, n) => ({ host: `${n}`, allowed: Array(10).fill(list[0]) }));
    const error = await new Client({}, { "max-ranges": 65 }).refusal("predict-allowed-ranges", { hosts });
    expect(error).toMatchObject({ code: -32011, data: { class: "LimitExceeded", limit: "max-ranges" } });
  });

  it("an answer with more causes than anybody reads, and says how to ask for less", async () => {
    // Nested like the layers of an onion: every range is in the way of all hosts outside it.
    const hosts = Array.from({ length: 64 }, (_, n) => ({
      host: `${n}`,
      allowed: Array.from({ length: 50 }, (_, i) => ({ start: i * 8192 + n * 8, last: i * 8192 + n * 8 })),
    }));
    const client = new Client({}, { "max-causes": 10_000 });
    const error = await client.refusal("predict-allowed-ranges", { hosts });
    expect(error).toMatchObject({
      code: -32011,
      message: expect.stringContaining("explain-range"),
      data: { class: "LimitExceeded", limit: "max-causes" },
    });
    const part = await client.ask("explain-range", { start: 0, last: 8, hosts });
    expect(part.excluded).toHaveLength(3);
  });
});
