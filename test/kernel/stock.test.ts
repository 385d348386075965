import { existsSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, openDevices } from "./guest.ts";

const DEVICE = "0000:00:05.0";
const MSI = { start: "0xfee00000", last: "0xfeefffff" };

let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
});
afterAll(async () => {
  await endUnsurprised(daemon);
});

it("the kernel has VFIO by groups and neither iommufd nor cdevs", async () => {
  expect(existsSync("/dev/vfio/vfio")).toBe(true);
  expect(existsSync("/dev/iommu")).toBe(false);
  expect(await client.call("query-status")).toMatchObject({ kernel: { iommufd: false, "vfio-cdev": false } });
});

it("devices, their reserved ranges and plans come from sysfs", async () => {
  const { devices } = await client.call("query-devices", { device: DEVICE });
  expect(devices).toMatchObject([{ device: DEVICE, driver: "vfio-pci", state: "observed" }]);
  expect(await client.call("query-reserved-ranges", { device: DEVICE })).toMatchObject({
    source: "sysfs",
    scope: "group",
    regions: [{ ...MSI, type: "msi", enforced: true }],
    aperture: { start: "0x0", last: "0x7fffffffff" },
    "aperture-source": "estimate",
    reserved: [MSI, { start: "0x8000000000", last: "0xffffffffffffffff" }],
  });
  expect(await client.call("predict-allowed-ranges", { devices: [DEVICE] })).toMatchObject({ exact: false });
});

it("what takes iommufd is NotSupported, and says what is missing", async () => {
  await expect(client.call("create-ioas")).rejects.toMatchObject({
    message: expect.stringContaining("CONFIG_IOMMUFD"),
    data: { class: "NotSupported", missing: "/dev/iommu" },
  });
  expect(openDevices(daemon.pid)).toEqual([]);
});

it("a probe goes by VFIO's groups, and leaves nothing behind", async () => {
  expect(await client.call("probe-device", { device: DEVICE })).toMatchObject({
    source: "probe",
    backend: "vfio-type1",
    scope: "device",
    aperture: { start: "0x0", last: "0x7fffffffff" },
    "aperture-source": "probe",
    "iova-alignment": "0x1000",
    reserved: [MSI, { start: "0x8000000000", last: "0xffffffffffffffff" }],
  });
  expect(openDevices(daemon.pid)).toEqual([]);
  // The kernel's own word, and still nothing that an attach would give: without a cdev there is none.
  expect(await client.call("predict-allowed-ranges", { devices: [DEVICE] })).toMatchObject({
    ranges: [
      { start: "0x0", last: "0xfedfffff" },
      { start: "0xfef00000", last: "0x7fffffffff" },
    ],
    exact: false,
    blockers: [{ device: DEVICE, reason: "no-cdev" }],
  });
});

it("the status says what is missing, and why", async () => {
  const { kernel } = await client.call("query-status");
  expect(kernel.missing.map(({ what }) => what)).toEqual(["/dev/iommu", "CONFIG_VFIO_DEVICE_CDEV"]);
  for (const { why } of kernel.missing) console.log(why);
  expect(kernel.missing[0]?.why).toContain("CONFIG_IOMMUFD");
});
