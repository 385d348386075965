import { createHash } from "node:crypto";
import { hostname } from "node:os";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Message } from "../stub.ts";
import { Client } from "./client.ts";

const GPU = "0000:41:00.0";

describe("query-host-profile", () => {
  it("is all that another host needs, in one value", async () => {
    const amd = Client.onDemoHost("amd");
    await amd.ask("probe-device", { device: GPU });
    const causes = (type: string) => [{ device: GPU, group: 22, kind: "region", type }];
    const allowed = [
      { start: "0x0", last: "0xfedfffff" },
      { start: "0xfef00000", last: "0xfcffffffff" },
      { start: "0x10000000000", last: "0xffffffffffffffff" },
    ];
    const summary = {
      host: "node-a",
      instance: expect.stringMatching(/^[0-9a-f-]{36}$/),
      sequence: expect.any(Number),
      exact: true,
      "iova-alignment": "0x1000",
      allowed,
      devices: [
        {
          ...{ device: GPU, group: 22, iommu: "ivhd0", pci: null, "numa-node": null },
          ...{ assignable: true, available: true, exact: true, allowed: 0 },
        },
      ],
      lists: [allowed],
      digest: expect.stringMatching(/^[0-9a-f]{64}$/),
    };
    const asked = { devices: [GPU], host: "node-a" };
    expect(await amd.ask("query-host-profile", asked)).toEqual(summary);
    expect(await amd.ask("query-host-profile", { ...asked, detail: "full" })).toEqual({
      ...summary,
      "schema-version": 1,
      kernel: { release: "6.12.0" },
      excluded: [
        { start: "0xfee00000", last: "0xfeefffff", causes: causes("msi") },
        { start: "0xfd00000000", last: "0xffffffffff", causes: causes("reserved") },
      ],
    });
  });

  it("is about every device when none is chosen, allows what the assignable do, and bears the host's name", async () => {
    const intel = Client.onDemoHost("intel");
    const profile = await intel.ask("query-host-profile");
    const { devices } = await intel.ask("query-devices");
    expect(profile.devices).toMatchObject(
      devices.map(({ device, assignable, available }: Message) => ({ device, assignable, available })),
    );
    expect(profile.host).toBe(hostname());
    expect(profile).toMatchObject({ exact: false, hint: expect.stringContaining("probe 0000:83:00.0") });
    const named = (isWanted: (device: Message) => boolean) =>
      devices.filter(isWanted).map(({ device }: Message) => device);
    const assignable = named((each) => each.assignable);
    const blocked = named((each) => !each.assignable);
    expect(blocked.length * assignable.length).toBeGreaterThan(0);
    for (const device of blocked) expect(profile.hint).not.toContain(device);
    const { ranges } = await intel.ask("predict-allowed-ranges", { devices: assignable });
    expect(profile.allowed).toEqual(ranges);
  });

  it("tells of each device what it allows alone, equal lists once", async () => {
    const intel = Client.onDemoHost("intel");
    const { devices, lists } = await intel.ask("query-host-profile");
    const texts = new Set<string>();
    for (const { device, allowed, exact } of devices) {
      const alone = await intel.ask("predict-allowed-ranges", { devices: [device], causes: false });
      expect({ ranges: lists[allowed], exact }).toEqual({ ranges: alone.ranges, exact: alone.exact });
      texts.add(JSON.stringify(alone.ranges));
    }
    expect(new Set(lists.map((list: Message) => JSON.stringify(list)))).toEqual(texts);
    expect(lists).toHaveLength(texts.size);
  });

  it("of a host on which nothing is assignable promises nothing", async () => {
    const client = new Client({ iommus: [{ name: "a" }], devices: [{ device: "0000:01:00.0", iommu: "a" }] });
    const profile = await client.ask("query-host-profile");
    expect(profile).toMatchObject({ exact: false, hint: expect.stringContaining("no device that a guest") });
    expect(profile.devices).toMatchObject([{ assignable: false, exact: false }]);
  });

  it("goes into hosts as it is, and so does a bare list", async () => {
    const amd = Client.onDemoHost("amd");
    await amd.ask("probe-device", { device: GPU });
    const profile = await amd.ask("query-host-profile", { devices: [GPU], host: "node-a" });
    const { host, allowed } = profile;
    const elsewhere = new Client({});
    const whole = await elsewhere.ask("predict-allowed-ranges", { hosts: [profile] });
    expect(whole).toMatchObject({ ranges: allowed, exact: true, "iova-alignment": "0x1000" });
    const bare = await elsewhere.ask("predict-allowed-ranges", { hosts: [{ host, allowed }] });
    expect(bare).toMatchObject({ ranges: allowed, exact: false, "iova-alignment": null });
    expect(bare.hint).toContain("node-a");
    expect(bare.excluded).toEqual(whole.excluded);
    expect(whole.excluded[0].causes).toEqual([{ kind: "host", host: "node-a" }]);
    const full = await amd.ask("query-host-profile", { devices: [GPU], host: "node-a", detail: "full" });
    for (const given of [full, { host, profile }, { host, profile: full }]) {
      expect(await elsewhere.ask("predict-allowed-ranges", { hosts: [given] })).toEqual(whole);
    }
    const { host: _, ...nameless } = profile;
    const renamed = await elsewhere.ask("predict-allowed-ranges", {
      hosts: [{ host: "b", profile: nameless }],
    });
    expect(renamed.excluded[0].causes).toEqual([{ kind: "host", host: "b" }]);
  });

  it("of an intermediate host says the same as the host itself: profiles can be combined in steps", async () => {
    const [amd, intel] = [Client.onDemoHost("amd"), Client.onDemoHost("intel")];
    const profiles = [
      await amd.ask("query-host-profile", { host: "a" }),
      await intel.ask("query-host-profile", { host: "b" }),
    ];
    const both = await amd.ask("predict-allowed-ranges", { hosts: profiles });
    const lists = profiles.map(({ allowed }) => allowed);
    expect((await amd.ask("intersect-ranges", { lists })).ranges).toEqual(both.ranges);
  });

  it("moves no counter of the cache: planning is not a use of it", async () => {
    const amd = Client.onDemoHost("amd");
    const before = { ...amd.host.cacheCounters };
    await amd.ask("query-host-profile");
    expect(amd.host.cacheCounters).toEqual(before);
  });
});

describe("a profile's digest", () => {
  const DEVICES = ["0000:01:00.0", "0000:01:00.1", "0000:02:00.0", "0000:03:00.0"];
  const topology = (order: readonly string[]) => ({
    iommus: [{ name: "dmar0" }],
    devices: order.map((device) => ({
      ...{ device, group: DEVICES.indexOf(device), iommu: "dmar0", driver: "vfio-pci" },
      regions: [{ start: "0xfee00000", last: "0xfeefffff", type: "msi" }],
    })),
  });
  const shuffled = fc.shuffledSubarray(DEVICES, { minLength: DEVICES.length });
  const digestOf = async (client: Client, params = {}) =>
    (await client.ask("query-host-profile", params)).digest;

  it("is what anybody gets who sorts the members and leaves the host, its instance and sequence out", async () => {
    const { host, instance, sequence, digest, ...rest } =
      await Client.onDemoHost("intel").ask("query-host-profile");
    expect(createHash("sha256").update(sorted(rest)).digest("hex")).toBe(digest);
  });

  it("does not depend on who asks, by which name, in which order, or how the host lists its devices", async () => {
    const first = await digestOf(new Client(topology(DEVICES)));
    await fc.assert(
      fc.asyncProperty(shuffled, shuffled, async (listed, named) => {
        const client = new Client(topology(listed));
        expect(await digestOf(client, { host: "another" })).toBe(first);
        expect(await digestOf(client, { devices: named, detail: "full" })).toBe(first);
      }),
      { numRuns: 30 },
    );
  });

  it("changes when a device is held, and is what it was when that is given back", async () => {
    const client = new Client(topology(DEVICES));
    const [device = ""] = DEVICES;
    const before = await client.ask("query-host-profile");
    await client.ask("hold-device", { device });
    const held = await client.ask("query-host-profile");
    expect(held.digest).not.toBe(before.digest);
    expect(held.sequence).toBeGreaterThan(before.sequence);
    const available = before.devices.map((each: Message) =>
      each.device === device ? { ...each, available: false } : each,
    );
    const { digest, sequence, ...rest } = before;
    expect(held).toMatchObject({ ...rest, devices: available });
    await client.ask("release-device", { device });
    expect(await client.ask("query-host-profile")).toMatchObject({ ...rest, digest });
  });
});

/** JSON with sorted members, the slow way. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, each) =>
    each && typeof each === "object" && !Array.isArray(each)
      ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
      : each,
  );
}
