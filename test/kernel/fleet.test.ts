import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import type { Client, Result } from "../../src/client/index.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, type WireRange } from "./guest.ts";

/** A boot is a host of the lab's fleet. Both are of fleet.sh: where hosts publish, and what it then asks each of them. */
const HOST = `${process.env.IOVAD_LAB_BOOT}`;
const SHARED = "/run/lab/fleet";
const LAYOUTS = "/run/lab/layouts.json";

/** The built command. */
const PUBLISHER = new URL("../../dist/fleet/main.js", import.meta.url).pathname;

interface Layout {
  readonly name: string;
  readonly layout: readonly ({ readonly name: string } & WireRange)[];
  /** By host, as `iovactl fleet fits` says. */
  readonly fits: Readonly<Record<string, boolean>>;
}

let daemon: Daemon;
let client: Client;
let devices: string[];

beforeAll(async () => {
  daemon = await Daemon.start();
  client = await daemon.client();
  const known = await client.call("query-devices", { assignable: true });
  devices = known.devices.map(({ device }) => device);
  expect(devices.length).toBeGreaterThan(1);
  for (const device of devices) await client.call("probe-device", { device });
}, 300_000);
afterAll(() => endUnsurprised(daemon));

/** Attaches every device, until the kernel refuses one; resolves to the refusal. */
async function attachAll(ioas: number): Promise<unknown> {
  for (const device of devices) {
    await client.call("hold-device", { device });
    const refusal = await client.call("attach-device", { device, ioas }).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (refusal) return refusal;
  }
  return undefined;
}

async function giveBack(ioas: number): Promise<void> {
  const { devices: held } = await client.call("query-devices", { context: "default" });
  for (const { device } of held) await client.call("release-device", { device });
  await client.call("destroy-ioas", { ioas });
}

it("publishes exactly what its kernel allows with every device attached", async () => {
  const args = ["--socket", daemon.socket, "--name", HOST, "--to", SHARED, "--interval", "86400"];
  const publisher: ChildProcess = spawn(process.execPath, [PUBLISHER, ...args], { stdio: "inherit" });
  const file = `${SHARED}/${HOST}.json`;
  await vi.waitUntil(() => existsSync(file), { timeout: 50_000, interval: 100 });
  // Told to end it would take the host out of the fleet.
  publisher.kill("SIGKILL");
  await once(publisher, "exit");
  const profile = JSON.parse(readFileSync(file, "utf8")) as Result<"query-host-profile">;
  expect(profile).toMatchObject({ host: HOST, exact: true });

  const { ioas } = await client.call("create-ioas");
  expect(await attachAll(ioas)).toBeUndefined();
  const { ranges, ...kernel } = await client.call("query-allowed-ranges", { ioas });
  expect(profile.allowed).toEqual(ranges);
  expect(profile["iova-alignment"]).toBe(kernel["iova-alignment"]);
  await giveBack(ioas);
});

describe.runIf(existsSync(LAYOUTS))("a guest laid out for the whole fleet", () => {
  const layouts = existsSync(LAYOUTS) ? (JSON.parse(readFileSync(LAYOUTS, "utf8")) as Layout[]) : [];

  it.each(layouts.map((each) => [each.name, each] as const))(
    "%s: the kernel does with it what the fleet said",
    async (_, { layout, fits }) => {
      expect(Object.keys(fits)).toContain(HOST);
      const { ioas } = await client.call("create-ioas");
      expect(await client.call("check-layout", { layout: [...layout], devices })).toMatchObject({
        fits: fits[HOST],
        exact: true,
      });
      const enforced = await client.call("check-layout", { layout: [...layout], ioas, enforce: true });
      expect(enforced).toMatchObject({ fits: true, enforced: true });
      const refusal = await attachAll(ioas);
      if (fits[HOST]) {
        expect(refusal).toBeUndefined();
        const { ranges } = await client.call("query-allowed-ranges", { ioas });
        for (const { start, last } of layout) {
          const holds = (range: WireRange) =>
            BigInt(range.start) <= BigInt(start) && BigInt(last) <= BigInt(range.last);
          expect(ranges.some(holds), `${start}-${last}`).toBe(true);
        }
        const [kept] = (await client.call("query-ioas", { ioas })).ioas;
        expect(kept?.devices).toEqual(devices);
        expect(kept?.["allow-list"]).not.toBeNull();
      } else {
        expect(refusal).toMatchObject({ data: { class: "RangeConflict", errno: "EADDRINUSE" } });
      }
      await giveBack(ioas);
    },
  );
});
