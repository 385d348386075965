import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { z } from "zod";
import { METHODS } from "../../src/rpc/methods/index.ts";
import { Daemon } from "../daemon/daemon.ts";

const DEVICE = "0000:00:05.0";
const TOPOLOGY = {
  iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } }],
  devices: [
    {
      device: DEVICE,
      iommu: "dmar0",
      driver: "vfio-pci",
      regions: [{ start: "0xfee00000", last: "0xfeefffff", type: "msi" }],
    },
    {
      device: "0000:00:06.0",
      iommu: "dmar0",
      driver: "nvme",
      regions: [{ start: "0xa0000000", last: "0xa0ffffff", type: "direct" }],
    },
  ],
};
const LAYOUT = [{ name: "ram", start: "0x0", size: "0x80000000" }];
const LOW = { start: "0x0", last: "0xffff" };

/** One good call of each method, in an order in which each finds what it needs. */
const CALLS: [name: string, params: object][] = [
  ["query-version", {}],
  ["query-commands", {}],
  ["query-schema", {}],
  ["rpc.discover", {}],
  ["query-status", {}],
  ["query-metrics", {}],
  ["query-devices", {}],
  ["query-reserved-ranges", { device: DEVICE }],
  ["subscribe", {}],
  ["probe-device", { device: DEVICE }],
  ["create-context", { context: "guest" }],
  ["create-ioas", { context: "guest" }],
  ["hold-device", { device: DEVICE, context: "guest" }],
  ["attach-device", { device: DEVICE, ioas: 1 }],
  ["query-allowed-ranges", { context: "guest", ioas: 1 }],
  ["allow-ranges", { context: "guest", ioas: 1, ranges: [LOW] }],
  ["query-contexts", {}],
  ["query-ioas", {}],
  ["predict-allowed-ranges", { devices: [DEVICE], context: "guest", ioas: 1 }],
  ["check-layout", { devices: [DEVICE], layout: LAYOUT }],
  ["explain-range", { start: "0xfee00000", last: "0xfeefffff" }],
  ["find-free-range", { size: "0x1000", devices: [DEVICE] }],
  ["intersect-ranges", { lists: [[LOW], [LOW]] }],
  ["invert-ranges", { ranges: [LOW] }],
  ["query-host-profile", {}],
  ["detach-device", { device: DEVICE }],
  ["release-device", { device: DEVICE }],
  ["destroy-ioas", { context: "guest", ioas: 1 }],
  ["destroy-context", { context: "guest" }],
  ["query-events", {}],
  ["unsubscribe", {}],
];

/** Methods that a simulated host cannot serve, the lab calls them; and one that takes a restart, see restart.test.ts. */
const REAL_ONLY = ["hand-over-device", "hand-over-context", "resume-context"];

let daemon: Daemon;
beforeAll(async () => {
  daemon = await Daemon.start({ topology: TOPOLOGY });
});
afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
});

describe("every method", () => {
  it("is called here", () => {
    const table = METHODS.map(({ name }) => name).filter((name) => !REAL_ONLY.includes(name));
    expect(CALLS.map(([name]) => name).sort()).toEqual(table.sort());
  });

  it.each(CALLS)("%s answers what its schema says, and no member more", async (name, params) => {
    const method = METHODS.find((each) => each.name === name) as { result: z.ZodType };
    const client = await daemon.client();
    const answer = await client.request(name, params);
    // Parsing drops what the schema does not know.
    expect(method.result.parse(answer)).toEqual(answer);
  });
});

describe("a method that takes nothing", () => {
  const taking = METHODS.filter(({ params }) => Object.keys(params.shape).length === 0);
  const names = taking.map(({ name }) => name).filter((name) => !/^(un)?subscribe$/.test(name));

  it("is one that says so", () => {
    expect(names).toContain("query-version");
    expect(METHODS.filter(({ takesNothing }) => takesNothing)).toEqual(taking);
  });

  it.each(names)("%s is answered without params, with none in them, and refuses any", async (name) => {
    const client = await daemon.client();
    const shape = (answer: unknown) => Object.keys(Object(answer));
    expect(shape(await client.request(name))).toEqual(shape(await client.request(name, {})));
    const error = await client.request(name, { device: DEVICE }).catch((refused) => refused);
    expect(error).toMatchObject({ code: -32602, message: expect.stringContaining("device") });
  });
});

describe("on a host without iommufd, every method", () => {
  let poor: Daemon;
  beforeAll(async () => {
    poor = await Daemon.start({ topology: { ...TOPOLOGY, kernel: { iommufd: false } } });
  });
  afterAll(async () => {
    expect(await poor.stop()).toBe(0);
  });

  it.each(CALLS)("%s answers, or is refused with an error that it declares", async (name, params) => {
    const client = await poor.client();
    const inDefault = "context" in params && !name.endsWith("-context") ? { context: "default" } : {};
    const refused = await client.request(name, { ...params, ...inDefault }).then(
      () => undefined,
      (error) => error.data.class,
    );
    const errors: readonly string[] = METHODS.find((each) => each.name === name)?.errors ?? [];
    if (refused !== undefined) expect(errors).toContain(refused);
  });
});
