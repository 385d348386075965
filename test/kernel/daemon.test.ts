import { execFileSync } from "node:child_process";
import { readdirSync, readlinkSync } from "node:fs";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Client } from "../../src/demo/client.ts";
import { Daemon } from "../daemon/daemon.ts";

const DEVICES = ["0000:00:05.0", "0000:00:06.0"] as const;
const READER = "/tmp/ranges-reader";
const EVERYTHING = { ranges: [{ start: "0x0", last: "0xffffffffffffffff" }], alignment: "0x1" };
const VTD39 = {
  ranges: [
    { start: "0x0", last: "0xfedfffff" },
    { start: "0xfef00000", last: "0x7fffffffff" },
  ],
  alignment: "0x1000",
};

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
  execFileSync("gcc", ["-o", READER, new URL("ranges-reader.c", import.meta.url).pathname]);
  daemon = await Daemon.start();
  client = await daemon.client();
}, 120_000);
afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
});

/** What the kernel tells a second process of an IOAS of the daemon. */
function secondOpinion(ioas: number) {
  const fds = readdirSync(`/proc/${daemon.pid}/fd`);
  const iommufd = fds.find((fd) => readlinkSync(`/proc/${daemon.pid}/fd/${fd}`) === "/dev/iommu");
  const output = execFileSync(READER, [String(daemon.pid), String(iommufd), String(ioas)], {
    encoding: "utf8",
  });
  const [alignment, ...lines] = output.trim().split("\n");
  const ranges = lines.map((line) => line.split(" ")).map(([start, last]) => ({ start, last }));
  return { ranges, alignment };
}

/** The iommufds and VFIO devices that the daemon has open. */
function openDevices(): string[] {
  const directory = `/proc/${daemon.pid}/fd`;
  const targets = readdirSync(directory).map((fd) => readlinkSync(`${directory}/${fd}`));
  return targets.filter((target) => /^\/dev\/(iommu|vfio)/.test(target)).sort();
}

const ask = (ioas: number) => client.call<Allowed>("query-allowed-ranges", { ioas });
const view = ({ ranges, "iova-alignment": alignment }: Allowed) => ({ ranges, alignment });

it("holds, attaches and detaches two devices, and answers what the kernel tells a second reader", async () => {
  const { ioas } = await client.call<{ ioas: number }>("create-ioas");
  const fresh = await ask(ioas);
  expect(view(fresh)).toEqual(EVERYTHING);
  expect(fresh.devices).toEqual([]);

  for (const device of DEVICES) {
    await client.call("hold-device", { device });
    const attached = await client.call<Allowed>("attach-device", { device, ioas });
    expect(view(attached)).toEqual(VTD39);
  }
  const both = await ask(ioas);
  expect(view(both)).toEqual(VTD39);
  expect(view(both)).toEqual(secondOpinion(ioas));
  expect(both.devices).toEqual([...DEVICES]);
  expect(both.generation).toBe(fresh.generation + 2);
  expect(both.cached).toBe(false);
  expect(await ask(ioas)).toEqual({ ...both, cached: true });

  for (const device of DEVICES) await client.call("detach-device", { device });
  const empty = await ask(ioas);
  expect(view(empty)).toEqual(EVERYTHING);
  expect(view(empty)).toEqual(secondOpinion(ioas));
  expect(empty.devices).toEqual([]);
  expect(empty.generation).toBe(both.generation + 2);

  const status = await client.call<{ cache: object; mismatches: number }>("query-status");
  expect(status.cache).toEqual({ hits: 1, misses: 3, invalidations: 4 });
  expect(status.mismatches).toBe(0);
  for (const device of DEVICES) await client.call("release-device", { device });
  await client.call("destroy-ioas", { ioas });
});

it("probes a device and leaves nothing behind", async () => {
  expect(openDevices()).toEqual(["/dev/iommu"]);
  const probed = await client.call<{ aperture: object; reserved: object[] }>("probe-device", {
    device: DEVICES[0],
  });
  expect(probed.aperture).toEqual({ start: "0x0", last: "0x7fffffffff" });
  expect(probed.reserved).toEqual([
    { start: "0xfee00000", last: "0xfeefffff" },
    { start: "0x8000000000", last: "0xffffffffffffffff" },
  ]);
  expect(openDevices()).toEqual(["/dev/iommu"]);
});
