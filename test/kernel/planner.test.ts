import { afterAll, beforeAll, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { DEVICES } from "../conformance/kernel-under-test.ts";
import { MSI_LAST, MSI_START } from "../conformance/session.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, wireRanges } from "./guest.ts";

const [MSI] = wireRanges([[MSI_START, MSI_LAST]]);
let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
});
afterAll(async () => {
  await endUnsurprised(daemon);
});

const predict = (devices: readonly string[]) => client.call("predict-allowed-ranges", { devices });

it("predicts exactly what the kernel allows after the attach, once it has probed", async () => {
  const guess = await predict(DEVICES);
  expect(guess.exact).toBe(false);
  expect(guess.hint).toContain(`probe ${DEVICES[0]}`);
  for (const device of DEVICES) await client.call("probe-device", { device });
  const prediction = await predict(DEVICES);
  expect(prediction.exact).toBe(true);

  const { ioas } = await client.call("create-ioas");
  for (const device of DEVICES) {
    await client.call("hold-device", { device });
    await client.call("attach-device", { device, ioas });
  }
  const allowed = await client.call("query-allowed-ranges", { ioas });
  expect(prediction.ranges).toEqual(allowed.ranges);
  expect(prediction["iova-alignment"]).toBe(allowed["iova-alignment"]);
  for (const device of DEVICES) await client.call("release-device", { device });
  await client.call("destroy-ioas", { ioas });
});

it("has the kernel refuse a hot-plug that would break an enforced layout, and the guest keeps its ranges", async () => {
  const { ioas } = await client.call("create-ioas");
  const ram = wireRanges([[MSI_START - 0xe00000n, MSI_LAST + 0x1100000n]]);
  const layout = ram.map((range) => ({ name: "ram", ...range }));
  const checked = await client.call("check-layout", { layout, ioas, enforce: true });
  expect(checked).toMatchObject({ fits: true, enforced: true });
  const before = await client.call("query-allowed-ranges", { ioas });

  const [device] = DEVICES;
  await client.call("hold-device", { device });
  await expect(client.call("attach-device", { device, ioas })).rejects.toMatchObject({
    code: -32008,
    data: {
      class: "RangeConflict",
      errno: "EADDRINUSE",
      conflicts: [
        {
          ...MSI,
          causes: [expect.objectContaining({ device, kind: "region", type: "msi" })],
        },
      ],
    },
  });
  expect(await client.call("query-allowed-ranges", { ioas })).toEqual({ ...before, cached: true });
  expect(await client.call("query-ioas", { ioas })).toMatchObject({
    ioas: [{ devices: [], "allow-list": ram }],
  });
  await client.call("release-device", { device });
  await client.call("destroy-ioas", { ioas });
});
