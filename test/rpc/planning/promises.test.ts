import { setImmediate as nextTurn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import type { TopologyDevice } from "../../../src/kernel/simulated/topology.ts";
import { parseTopology } from "../../../src/kernel/simulated/topology-file.ts";
import { DEFAULT_LIMITS } from "../../../src/limits.ts";
import { IOMMU_IOAS_IOVA_RANGES } from "../../../src/uapi/iommufd.ts";
import { VFIO_DEVICE_ATTACH_IOMMUFD_PT } from "../../../src/uapi/vfio.ts";
import { latch, type Message } from "../stub.ts";
import { Client } from "./client.ts";

const NIC = "0000:01:00.0";
const DISK = "0000:01:00.1";
const RMRR = { start: "0xbdf6e000", last: "0xbdf84fff", type: "direct" };
const low = [{ name: "ram", start: 0, last: "0xffff" }];

/** A NIC and a disk in groups of their own, changed as a test needs it. */
function hostWith({ nic = {}, disk = {} }: { nic?: object; disk?: object }) {
  const device = { iommu: "dmar0", driver: "vfio-pci", regions: [] };
  return new Client({
    iommus: [{ name: "dmar0" }],
    devices: [
      { ...device, device: NIC, group: 1, ...nic },
      { ...device, device: DISK, group: 2, ...disk },
    ],
  });
}

describe("of a device that no guest can have", () => {
  it.each<[string, Client, string]>([
    ["firmware demands a 1:1 mapping", hostWith({ nic: { regions: [RMRR] } }), "direct-mapping"],
    ["no VFIO driver is bound", hostWith({ nic: { driver: null } }), "no-vfio-driver"],
    ["a sibling is the host's", hostWith({ disk: { group: 1, driver: "nvme" } }), "group-sibling"],
  ])("nothing is promised when %s, and why is told", async (_when, client, reason) => {
    const blocked = { exact: false, blockers: [{ device: NIC, reason, transient: false }] };
    const devices = [NIC];
    const checked = await client.ask("check-layout", { layout: low, devices });
    expect(checked).toMatchObject({ ...blocked, fits: false, windows: [{ fits: true }] });
    expect(checked.hint).toContain(NIC);
    expect(await client.ask("predict-allowed-ranges", { devices })).toMatchObject(blocked);
    expect(await client.ask("find-free-range", { size: 1, devices })).toMatchObject(blocked);
    expect(await client.ask("explain-range", { start: 0, last: 1, devices })).toMatchObject(blocked);
    expect(await client.ask("query-host-profile", { devices })).toMatchObject({ exact: false });
  });

  it("an earlier probe promises nothing once a sibling is in the way, and the hint asks for no other", async () => {
    const nic = { device: NIC, group: 1, iommu: "dmar0", driver: "vfio-pci", regions: [] };
    const iommus = [{ name: "dmar0" }];
    const client = new Client({ iommus, devices: [nic] });
    await client.ask("probe-device", { device: NIC });
    const check = () => client.ask("check-layout", { layout: low, devices: [NIC] });
    expect(await check()).toMatchObject({ fits: true, exact: true, blockers: [] });
    const [, sibling] = parseTopology({
      devices: [nic, { ...nic, device: DISK, driver: "nvme" }],
      iommus,
    }).devices;
    client.kernel.addDevice(sibling as TopologyDevice);
    const answer = await check();
    expect(answer).toMatchObject({ fits: false, exact: false, blockers: [{ reason: "group-sibling" }] });
    expect(answer.hint).toBe(`mend what keeps ${NIC} from guests (query-devices tells what)`);
  });

  it("a layout is not enforced either", async () => {
    const client = hostWith({ nic: { regions: [RMRR] } });
    const { ioas } = await client.ask("create-ioas");
    const params = { layout: low, devices: [NIC], ioas, enforce: true };
    expect(await client.ask("check-layout", params)).toMatchObject({ fits: false, enforced: false });
    expect((await client.ask("query-ioas", { ioas })).ioas[0]["allow-list"]).toBeNull();
  });

  it("others have no part in it", async () => {
    const client = hostWith({ nic: { driver: null } });
    await client.ask("probe-device", { device: DISK });
    const answer = await client.ask("check-layout", { layout: low, devices: [DISK] });
    expect(answer).toMatchObject({ fits: true, exact: true, blockers: [] });
  });
});

describe("an IOAS that nothing is attached to", () => {
  const NOTHING = expect.stringContaining("name the devices that are to go into IOAS 1");

  it("promises nothing by itself, and keeps a layout all the same", async () => {
    const client = hostWith({});
    const { ioas } = await client.ask("create-ioas");
    const unsure = { exact: false, hint: NOTHING };
    expect(await client.ask("predict-allowed-ranges", { ioas })).toMatchObject(unsure);
    expect(await client.ask("find-free-range", { ioas, size: "1T" })).toMatchObject(unsure);
    const kept = await client.ask("check-layout", { ioas, layout: low, enforce: true });
    expect(kept).toMatchObject({ fits: true, enforced: true, ...unsure });
  });

  it("says nothing of the alignment that the devices beside it will bring", async () => {
    const client = hostWith({});
    const { ioas } = await client.ask("create-ioas");
    const ask = () => client.ask("predict-allowed-ranges", { ioas, devices: [NIC] });
    expect(await ask()).toMatchObject({ "iova-alignment": null });
    await client.ask("probe-device", { device: NIC });
    expect(await ask()).toMatchObject({ "iova-alignment": "0x1000" });
  });

  it("is no obstacle to what the devices beside it or in it promise", async () => {
    const client = hostWith({});
    const { ioas } = await client.ask("create-ioas");
    await client.ask("probe-device", { device: NIC });
    expect(await client.ask("predict-allowed-ranges", { ioas, devices: [NIC] })).toMatchObject({
      exact: true,
    });
    await client.ask("hold-device", { device: NIC });
    await client.ask("attach-device", { device: NIC, ioas });
    expect(await client.ask("predict-allowed-ranges", { ioas })).toMatchObject({ exact: true });
  });
});

describe("an IOAS that a device comes into while it is read", () => {
  const MSI = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };

  it("is answered for with the device in it, or without, and not with both", async () => {
    const client = hostWith({ nic: { regions: [MSI] } });
    const { ioas } = await client.ask("create-ioas");
    await client.ask("hold-device", { device: NIC });
    const [attach, read] = [latch(), latch()];
    const { kernel } = client;
    const call = kernel.slowIoctl.bind(kernel);
    kernel.slowIoctl = async (fd, request, ...rest) => {
      if (request === VFIO_DEVICE_ATTACH_IOMMUFD_PT) await attach.opened;
      const result = await call(fd, request, ...rest);
      if (request === IOMMU_IOAS_IOVA_RANGES) await read.opened;
      return result;
    };
    const attached = client.ask("attach-device", { device: NIC, ioas });
    await nextTurn();
    const asked = client.ask("query-allowed-ranges", { ioas });
    const predicted = client.ask("predict-allowed-ranges", { ioas });
    await nextTurn();
    attach.open();
    const { ranges } = await attached;
    read.open();
    expect(await asked).toMatchObject({ devices: [NIC], ranges });
    expect(await predicted).toMatchObject({ exact: true, ranges });
  });
});

describe("a host without devices", () => {
  it("promises nothing", async () => {
    const answer = await new Client({}).ask("explain-range", { start: 0, last: 1 });
    expect(answer).toMatchObject({ exact: false, hint: expect.stringContaining("has no device") });
  });
});

describe("without causes", () => {
  const allowed = (n: number) =>
    Array.from({ length: 50 }, (_, i) => ({ start: i * 8192 + n * 8, last: i * 8192 + n * 8 }));
  const hosts = Array.from({ length: 100 }, (_, n) => ({ host: `${n}`, allowed: allowed(n), exact: true }));
  const client = () => new Client({}, { "max-causes": 100 });

  it("an answer says the same but who is at fault, and no limit on causes applies", async () => {
    const sources = { hosts: hosts.slice(0, 2) };
    const ask = async (method: string, params: object) => {
      const { excluded: _, ...rest } = await new Client({}).ask(method, params);
      return rest;
    };
    for (const [method, params] of [
      ["predict-allowed-ranges", sources],
      ["explain-range", { start: 0, last: 8191, ...sources }],
    ] as const) {
      expect((await client().refusal(method, { ...params, hosts })).data.limit).toBe("max-causes");
      expect(await client().ask(method, { ...params, causes: false })).toEqual(await ask(method, params));
      expect(await client().ask(method, { ...params, hosts, causes: false })).not.toHaveProperty("excluded");
    }
  });

  it("a layout's conflicts are the excluded parts of each window", async () => {
    const layout = [
      { name: "low", start: 4, last: 8199 },
      { name: "all", start: 0, last: "0xffffffffffffffff", required: false },
    ];
    expect((await client().refusal("check-layout", { layout, hosts })).data.limit).toBe("max-causes");
    const one = hosts.slice(0, 1);
    const { windows } = await client().ask("check-layout", { layout, hosts: one, causes: false });
    expect(windows[0].conflicts).toEqual([
      { start: "0x4", last: "0x1fff", causes: [] },
      { start: "0x2001", last: "0x2007", causes: [] },
    ]);
    const withCauses = await new Client({}).ask("check-layout", { layout, hosts: one });
    const places = (window: Message) => window.conflicts.map(({ start, last }: Message) => [start, last]);
    expect(windows.map(places)).toEqual(withCauses.windows.map(places));
  });

  it("a layout has not more conflicts than a request may have ranges", async () => {
    const layout = Array.from({ length: 30 }, (_, n) => ({ name: `${n}`, start: 0, last: 8191 }));
    const params = { layout, hosts: hosts.slice(1, 2), causes: false };
    const error = await new Client({}, { "max-ranges": 50 }).refusal("check-layout", params);
    expect(error).toMatchObject({
      data: { limit: "max-ranges" },
      message: expect.stringContaining("in parts"),
    });
  });
});

describe("a window that a guest can do without", () => {
  it("may be said to be so, and does not keep a layout from fitting", async () => {
    const hosts = [{ host: "a", allowed: [{ start: 0, last: 99 }], exact: true }];
    const layout = [
      { name: "ram", start: 0, last: 99 },
      { name: "hole", start: 100, last: 199, required: false },
    ];
    const answer = await new Client({}).ask("check-layout", { layout, hosts });
    expect(answer).toMatchObject({
      fits: true,
      windows: [{ required: true }, { required: false, fits: false }],
    });
  });
});

describe("a fleet", () => {
  it("of 1,000 hosts of 8 devices goes into one question within the limits that are there by default", async () => {
    const devices = Array.from({ length: 8 }, (_, n) => ({
      device: `0000:01:00.${n}`,
      group: n,
      iommu: "dmar0",
      driver: "vfio-pci",
      regions: [
        { start: "0xfee00000", last: "0xfeefffff", type: "msi" },
        { start: "0xfd00000000", last: "0xffffffffff", type: "reserved" },
      ],
    }));
    const one = new Client({ iommus: [{ name: "dmar0" }], devices });
    for (const { device } of devices) await one.ask("probe-device", { device });
    const profile = await one.ask("query-host-profile");
    expect(profile.devices).toHaveLength(8);
    const machine = { type: "q35", memory: 2 ** 40 };
    const fleet = (form: (host: string) => object) => ({
      machine,
      hosts: Array.from({ length: 1000 }, (_, n) => form(`node-${n}`)),
    });
    const { allowed, exact } = profile;
    const params = fleet((host) => ({
      ...{ host, allowed, exact },
      "iova-alignment": profile["iova-alignment"],
    }));
    expect(JSON.stringify(params).length).toBeLessThan(DEFAULT_LIMITS["max-request"] / 2);
    const answer = await new Client({}).ask("check-layout", params);
    expect(answer).toMatchObject({ fits: false, exact: true });
    const ram = answer.windows.find(({ name }: Message) => name === "ram-above-4g");
    expect(ram.conflicts).toHaveLength(1);
    expect(ram.conflicts[0].causes).toHaveLength(1000);
    // Whole, only the length of a line keeps them from it.
    for (const form of [(host: string) => ({ ...profile, host }), (host: string) => ({ host, profile })]) {
      expect(await new Client({}).ask("check-layout", fleet(form))).toEqual(answer);
    }
  });
});
