import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Client } from "../../src/demo/client.ts";
import { Daemon } from "../daemon/daemon.ts";
import { Listener } from "../daemon/listener.ts";
import { openDevices } from "./guest.ts";

const DEVICES = ["0000:00:05.0", "0000:00:06.0"] as const;
const [DEVICE] = DEVICES;
const ROUNDS = 20;

let daemon: Daemon;
let client: Client;
let listener: Listener;
let ioas: number;

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
  listener = await Listener.subscribe(daemon.socket);
  ({ ioas } = await client.call<{ ioas: number }>("create-ioas"));
}, 120_000);
afterEach(() => {
  expect(openDevices(daemon.pid)).toEqual(["/dev/iommu"]);
});
afterAll(async () => {
  listener.close();
  expect(await daemon.stop()).toBe(0);
});

/** Writes to sysfs from another process, as an operator would. Resolves to how long that took, in milliseconds. */
async function write(text: string, path: string): Promise<number> {
  const started = performance.now();
  const child = spawn("sh", ["-c", 'echo "$1" >"$2"', "sh", text, path], { stdio: "inherit" });
  const [status] = await once(child, "exit");
  expect(status).toBe(0);
  return Math.round(performance.now() - started);
}

const unbind = (device: string) => write(device, "/sys/bus/pci/drivers/vfio-pci/unbind");
const bind = (device: string) => write(device, "/sys/bus/pci/drivers/vfio-pci/bind");

async function holdAndAttach(device: string): Promise<void> {
  await client.call("hold-device", { device });
  await client.call("attach-device", { device, ioas });
}

async function query(device: string): Promise<Record<string, unknown> | undefined> {
  const { devices } = await client.call<{ devices: Record<string, unknown>[] }>("query-devices");
  return devices.find((each) => each.device === device);
}

const isHeld = async (device: string) => (await query(device))?.state !== "observed";

/** How many eventfds the daemon has open: each of its threads has some of its own. */
function eventfds(): number {
  const directory = `/proc/${daemon.pid}/fd`;
  const targets = readdirSync(directory).map((fd) => readlinkSync(`${directory}/${fd}`));
  return targets.filter((target) => target === "anon_inode:[eventfd]").length;
}

const heardSince = (from: number) => listener.heard.slice(from).map(({ event }) => event);

describe("a device whose driver is unbound while the daemon has it attached", () => {
  it("is given back, subscribers are told, and what was known of it is forgotten", async () => {
    await client.call("probe-device", { device: DEVICE });
    await holdAndAttach(DEVICE);
    const from = listener.heard.length;
    const milliseconds = await unbind(DEVICE);
    console.log(`the unbind of a held device took ${milliseconds} ms, the shell's start among them`);
    await listener.until("ALLOWED_RANGES_CHANGED", { ioas }, from);
    expect(heardSince(from)).toEqual(["DEVICE_DETACHED", "DEVICE_RELEASED", "ALLOWED_RANGES_CHANGED"]);
    expect(await query(DEVICE)).toMatchObject({ state: "observed", driver: null, "vfio-device": null });
    expect(await client.call("query-reserved-ranges", { device: DEVICE })).toMatchObject({
      source: "sysfs",
      "aperture-source": "estimate",
    });
    await expect(client.call("hold-device", { device: DEVICE })).rejects.toMatchObject({
      data: { class: "DeviceNotReady" },
    });
    await bind(DEVICE);
    expect(await query(DEVICE)).toMatchObject({ driver: "vfio-pci", "vfio-device": expect.any(String) });
    await holdAndAttach(DEVICE);
    await client.call("release-device", { device: DEVICE });
  });

  it(`is given back ${ROUNDS} times, with both devices going at once and another client asking all the time`, async () => {
    const other = await daemon.client();
    let isOver = false;
    let answers = 0;
    const load = (async () => {
      while (!isOver) {
        await other.call("query-devices");
        await other.call("query-allowed-ranges", { ioas });
        answers++;
      }
    })();
    const took: number[] = [];
    const before = eventfds();
    for (let round = 0; round < ROUNDS; round++) {
      for (const device of DEVICES) await holdAndAttach(device);
      const from = listener.heard.length;
      took.push(...(await Promise.all(DEVICES.map(unbind))));
      for (const device of DEVICES) {
        await listener.until("DEVICE_RELEASED", { device }, from);
        expect(await isHeld(device)).toBe(false);
      }
      await Promise.all(DEVICES.map(bind));
    }
    isOver = true;
    await load;
    expect(answers).toBeGreaterThan(0);
    expect(eventfds() - before).toBeLessThan(ROUNDS);
    const sorted = took.toSorted((a, b) => a - b);
    console.log(
      `${took.length} unbinds under load: median ${sorted[took.length >> 1]} ms, longest ${sorted.at(-1)} ms, ${answers} answers to the other client`,
    );
    expect(await client.call("query-status")).toMatchObject({ "held-devices": 0, mismatches: 0 });
  });
});

describe("a device that is taken out of the machine", () => {
  it("is given back, then removed, and is known again when it comes back", async () => {
    const path = `/sys/bus/pci/devices/${DEVICE}`;
    await holdAndAttach(DEVICE);
    const from = listener.heard.length;
    await write("1", `${path}/remove`);
    await listener.until("DEVICE_REMOVED", { device: DEVICE }, from);
    expect(heardSince(from)).toEqual([
      "DEVICE_DETACHED",
      "DEVICE_RELEASED",
      "ALLOWED_RANGES_CHANGED",
      "DEVICE_REMOVED",
    ]);
    expect(await query(DEVICE)).toBeUndefined();
    await write("1", "/sys/bus/pci/rescan");
    await listener.until("DEVICE_ADDED", { device: DEVICE }, from);
    expect(await query(DEVICE)).toMatchObject({ state: "observed" });
    await write("vfio-pci", `${path}/driver_override`);
    await write(DEVICE, "/sys/bus/pci/drivers_probe");
    expect(existsSync(`${path}/vfio-dev`)).toBe(true);
    await holdAndAttach(DEVICE);
    await client.call("release-device", { device: DEVICE });
  });
});
