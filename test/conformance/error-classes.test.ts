import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import type { HostErrorClass } from "../../src/host/errors.ts";
import { Daemon } from "../daemon/daemon.ts";
import { wireRanges } from "../kernel/guest.ts";
import { DEVICES, LAB } from "./kernel-under-test.ts";
import { MSI_START } from "./session.ts";

type Request = readonly [method: string, params: object];

/** What a client asks; the last request is refused, and what is made before goes with the connection. */
interface Provocation {
  readonly requests: readonly Request[];
}

/** Where this host cannot provoke it: the tests that do. */
interface Elsewhere {
  readonly simulation: string;
  readonly lab?: string;
}

const [DEVICE] = DEVICES;
const context = "guest";
const create: Request = ["create-context", { context, lease: "connection" }];
const hold: Request = ["hold-device", { device: DEVICE, context }];
const attached: readonly Request[] = [
  create,
  ["create-ioas", { context }],
  hold,
  ["attach-device", { device: DEVICE, ioas: 1 }],
];
const [MSI] = wireRanges([[MSI_START, MSI_START + 0xfffn]]);
/** Stands for a device that has an IOMMU group, and no VFIO driver. */
const NOT_READY = "not-ready";

/** The classes of error, and for each what provokes it. */
const PROVOCATIONS: Readonly<Record<HostErrorClass, Provocation | Elsewhere>> = {
  DeviceNotFound: { requests: [["hold-device", { device: "0000:00:1e.7" }]] },
  DeviceBusy: { requests: [create, hold, ["hold-device", { device: DEVICE }]] },
  DeviceNotReady: { requests: [["hold-device", { device: NOT_READY }]] },
  DeviceBlocked: { simulation: "host/blockers", lab: "kernel/resv" },
  ContextNotFound: { requests: [["create-ioas", { context }]] },
  IoasNotFound: { requests: [create, ["destroy-ioas", { context, ioas: 1 }]] },
  IoasBusy: { requests: [...attached, ["destroy-ioas", { context, ioas: 1 }]] },
  RangeConflict: { requests: [...attached, ["allow-ranges", { context, ioas: 1, ranges: [MSI] }]] },
  NotSupported: { simulation: "host/legacy-probe", lab: "kernel/stock" },
  PermissionDenied: { simulation: "daemon/other-users" },
  LimitExceeded: { requests: [create, ["create-context", { context: "one-more" }]] },
  AlreadyExists: { requests: [["create-context", { context: "default" }]] },
  KernelError: { simulation: "host/cache", lab: "kernel/faults" },
  NotHeld: { requests: [["attach-device", { device: DEVICE, ioas: 1 }]] },
};

let daemon: Daemon;
let witness: Client;
beforeAll(async () => {
  const host = process.env.IOVAD_KERNEL === "linux" ? {} : { topology: LAB };
  daemon = await Daemon.start({ ...host, args: ["--max-contexts", "2"] });
  witness = await daemon.client();
}, 120_000);
afterAll(async () => {
  expect(await daemon.stop()).toBe(0);
});

const entries = Object.entries(PROVOCATIONS);
const here = entries.flatMap(([name, by]) => ("requests" in by ? [[name, by.requests] as const] : []));
const elsewhere = entries.flatMap(([name, by]) => ("requests" in by ? [] : [[name, by] as const]));

/** All that a host shows of itself. */
const state = async () => ({
  devices: await witness.call("query-devices"),
  contexts: await witness.call("query-contexts"),
  ioas: await witness.call("query-ioas"),
});

describe("an error of the class", () => {
  it.each(here)("%s has its cause, and changes nothing", async (name, requests) => {
    const fresh = await state();
    const client = await daemon.client();
    for (const [method, params] of requests.slice(0, -1)) await client.request(method, params);
    const before = await state();
    const [method, params] = requests.at(-1) as Request;
    const { devices } = before.devices;
    const notReady = devices.find((each) => each["vfio-device"] === null)?.device;
    const actual = "device" in params && params.device === NOT_READY ? { device: notReady } : params;
    await expect(client.request(method, actual)).rejects.toMatchObject({ data: { class: name } });
    expect(await state()).toEqual(before);
    client.destroy();
    while (!isDeepStrictEqual(await state(), fresh));
  });

  it.each(elsewhere)("%s is provoked where there is a cause for it", (name, { simulation, lab }) => {
    for (const file of lab === undefined ? [simulation] : [simulation, lab]) {
      const source = readFileSync(new URL(`../${file}.test.ts`, import.meta.url), "utf8");
      expect(source).toContain(`"${name}"`);
    }
  });
});
