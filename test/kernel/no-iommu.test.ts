import { afterAll, beforeAll, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, openDevices } from "./guest.ts";

const DEVICE = "0000:00:05.0";
const blockers = [{ reason: "no-iommu" }];

let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
});
afterAll(async () => {
  await endUnsurprised(daemon);
});

it("a device that VFIO gives out without an IOMMU is shown, and cannot be assigned", async () => {
  expect(await client.call("query-devices")).toMatchObject({
    devices: [{ device: DEVICE, driver: "vfio-pci", assignable: false, blockers }],
  });
});

it("nobody is given it, although the kernel would", async () => {
  await client.call("create-context", { context: "guest" });
  for (const [method, params] of [
    ["hold-device", {}],
    ["probe-device", {}],
    ["hand-over-device", { context: "guest" }],
  ] as const) {
    await expect(client.call(method, { device: DEVICE, ...params })).rejects.toMatchObject({
      data: { class: "DeviceBlocked", blockers },
    });
  }
  expect(openDevices(daemon.pid).filter((path) => path !== "/dev/iommu")).toEqual([]);
});

it("no address is promised for it, and no probe is advised", async () => {
  const prediction = await client.call("predict-allowed-ranges", { devices: [DEVICE] });
  expect(prediction).toMatchObject({ ranges: [], exact: false });
  expect(prediction.hint).not.toContain("probe");
});
