import { afterEach, expect, it } from "vitest";
import { Daemon } from "./daemon.ts";

const SLOW = "0000:00:05.0";
const QUICK = "0000:00:06.0";
const TOPOLOGY = {
  iommus: [{ name: "dmar0" }],
  devices: [
    { device: SLOW, iommu: "dmar0", driver: "vfio-pci", "latency-ms": { bind: 1000 } },
    { device: QUICK, iommu: "dmar0", driver: "vfio-pci" },
  ],
};

let daemon: Daemon;
afterEach(async () => {
  expect(await daemon.stop()).toBe(0);
});

it("delays no other connection, neither queries nor another device", async () => {
  daemon = await Daemon.start({ topology: TOPOLOGY });
  const [slow, other] = [await daemon.client(), await daemon.client()];
  const { ioas } = await other.call("create-ioas");
  const order: string[] = [];
  const bind = slow.call("hold-device", { device: SLOW }).then(() => order.push("slow bind"));
  for (let i = 0; i < 20; i++) {
    await other.call("query-allowed-ranges", { ioas });
    order.push("query");
  }
  await other.call("hold-device", { device: QUICK });
  order.push("quick bind");
  await bind;
  expect(order).toEqual([...Array(20).fill("query"), "quick bind", "slow bind"]);
});

it("is answered before what the same connection asked later", async () => {
  daemon = await Daemon.start({ topology: TOPOLOGY });
  const client = await daemon.client();
  const order: string[] = [];
  const bind = client.call("hold-device", { device: SLOW }).then(() => order.push("bind"));
  const query = client.call("query-version").then(() => order.push("query"));
  await Promise.all([bind, query]);
  expect(order).toEqual(["bind", "query"]);
});
