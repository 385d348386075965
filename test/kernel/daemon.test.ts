import { readFileSync, writeFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { onlyWhere } from "../conformance/only-where.ts";
import { currentPlatform } from "../conformance/platforms.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, openDevices, secondOpinion, wireRanges } from "./guest.ts";

const DEVICES = ["0000:00:05.0", "0000:00:06.0"] as const;
const PLATFORM = currentPlatform();
const EVERYTHING = { ranges: [{ start: "0x0", last: "0xffffffffffffffff" }], alignment: "0x1" };
const ATTACHED = { ranges: wireRanges(PLATFORM.allowed), alignment: `0x${PLATFORM.pageSize.toString(16)}` };

interface Allowed {
  ranges: object[];
  "iova-alignment": string;
  devices: string[];
  cached: boolean;
  generation: number;
}

let daemon: Daemon;
let client: Client;

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
});
afterAll(async () => {
  await endUnsurprised(daemon);
});

const ask = (ioas: number) => client.call("query-allowed-ranges", { ioas });
const view = ({ ranges, "iova-alignment": alignment }: Pick<Allowed, "ranges" | "iova-alignment">) => ({
  ranges,
  alignment,
});

it("holds, attaches and detaches two devices, and answers what the kernel tells a second reader", async () => {
  const { ioas } = await client.call("create-ioas");
  const fresh = await ask(ioas);
  expect(view(fresh)).toEqual(EVERYTHING);
  expect(fresh.devices).toEqual([]);

  for (const device of DEVICES) {
    await client.call("hold-device", { device });
    const attached = await client.call("attach-device", { device, ioas });
    expect(view(attached)).toEqual(ATTACHED);
  }
  const both = await ask(ioas);
  expect(view(both)).toEqual(ATTACHED);
  expect(view(both)).toEqual(secondOpinion(daemon, ioas));
  expect(both.devices).toEqual([...DEVICES]);
  expect(both.generation).toBe(fresh.generation + 2);
  expect(both.cached).toBe(false);
  expect(await ask(ioas)).toEqual({ ...both, cached: true });

  for (const device of DEVICES) await client.call("detach-device", { device });
  const empty = await ask(ioas);
  expect(view(empty)).toEqual(EVERYTHING);
  expect(view(empty)).toEqual(secondOpinion(daemon, ioas));
  expect(empty.devices).toEqual([]);
  expect(empty.generation).toBe(both.generation + 2);

  const { cache } = await client.call("query-status");
  expect(cache).toEqual({ hits: 1, misses: 3, invalidations: 4 });
  for (const device of DEVICES) await client.call("release-device", { device });
  await client.call("destroy-ioas", { ioas });
});

it("probes a device and leaves nothing behind", async () => {
  expect(openDevices(daemon.pid)).toEqual(["/dev/iommu"]);
  const probed = await client.call("probe-device", {
    device: DEVICES[0],
  });
  expect([probed.aperture]).toEqual(wireRanges([[0n, PLATFORM.apertureLast]]));
  expect(probed.reserved).toEqual(wireRanges(PLATFORM.excluded));
  expect(openDevices(daemon.pid)).toEqual(["/dev/iommu"]);
});

const UNSAFE = "/sys/module/iommufd/parameters/allow_unsafe_interrupts";

// Of the lab's IOMMUs only virtio-iommu isolates no interrupts.
it(
  "names interrupts that are not isolated as what keeps a device from user space",
  onlyWhere(PLATFORM.iommu === "0000:00:04.0", "an IOMMU that isolates no interrupts"),
  async () => {
    const accepted = readFileSync(UNSAFE);
    writeFileSync(UNSAFE, "N");
    try {
      const refused = client.call("hold-device", { device: DEVICES[0] });
      await expect(refused).rejects.toMatchObject({
        data: { class: "DeviceBlocked", errno: "EPERM", blockers: [{ reason: "no-isolated-msi" }] },
      });
    } finally {
      writeFileSync(UNSAFE, accepted);
    }
    expect(openDevices(daemon.pid)).toEqual(["/dev/iommu"]);
    await client.call("hold-device", { device: DEVICES[0] });
    await client.call("release-device", { device: DEVICES[0] });
  },
);
