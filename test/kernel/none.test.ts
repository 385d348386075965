import { afterAll, beforeAll, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, openDevices } from "./guest.ts";

const DEVICE = "0000:00:05.0";

let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
});
afterAll(async () => {
  await endUnsurprised(daemon);
});

it("a host without an IOMMU has no devices to give, and every question about one says so", async () => {
  expect(await client.call("query-status")).toMatchObject({
    kernel: {
      iommufd: true,
      "vfio-cdev": true,
      missing: [{ what: "IOMMU", why: expect.stringContaining("firmware describes no IOMMU") }],
    },
  });
  expect(await client.call("query-devices")).toEqual({ devices: [] });
  for (const method of ["query-reserved-ranges", "probe-device", "hold-device"]) {
    await expect(client.request(method, { device: DEVICE })).rejects.toMatchObject({
      message: expect.stringContaining("IOMMU group"),
      data: { class: "DeviceNotFound" },
    });
  }
});

it("an IOAS needs no IOMMU, and neither does planning", async () => {
  const { ioas } = await client.call("create-ioas");
  const everything = [{ start: "0x0", last: "0xffffffffffffffff" }];
  expect(await client.call("query-allowed-ranges", { ioas })).toMatchObject({
    ranges: everything,
    devices: [],
  });
  const hosts = [{ host: "elsewhere", allowed: [{ start: "0x1000", last: "0xffff" }] }];
  expect(await client.call("find-free-range", { size: "0x1000", hosts })).toMatchObject({
    range: { start: "0x1000", last: "0x1fff" },
  });
  await client.call("destroy-ioas", { ioas });
  expect(openDevices(daemon.pid)).toEqual(["/dev/iommu"]);
});
