import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { Client } from "./client.ts";

const GPU = "0000:41:00.0";

describe("query-host-profile", () => {
  it("is all that another host needs, in one value", async () => {
    const amd = Client.onDemoHost("amd");
    await amd.ask("probe-device", { device: GPU });
    const causes = (type: string) => [{ device: GPU, group: 22, kind: "region", type }];
    expect(await amd.ask("query-host-profile", { devices: [GPU], host: "node-a" })).toEqual({
      "schema-version": 1,
      host: "node-a",
      kernel: { release: "6.12.0" },
      devices: [GPU],
      allowed: [
        { start: "0x0", last: "0xfedfffff" },
        { start: "0xfef00000", last: "0xfcffffffff" },
        { start: "0x10000000000", last: "0xffffffffffffffff" },
      ],
      "iova-alignment": "0x1000",
      exact: true,
      excluded: [
        { start: "0xfee00000", last: "0xfeefffff", causes: causes("msi") },
        { start: "0xfd00000000", last: "0xffffffffff", causes: causes("reserved") },
      ],
    });
  });

  it("is about every device when none is chosen, and bears the host's own name", async () => {
    const intel = Client.onDemoHost("intel");
    const profile = await intel.ask("query-host-profile");
    const { devices } = await intel.ask("query-devices");
    expect(profile.devices).toEqual(devices.map(({ device }: { device: string }) => device));
    expect(profile.host).toBe(hostname());
    expect(profile).toMatchObject({ exact: false, hint: expect.stringContaining("probe 0000:83:00.0") });
    expect(profile.hint).toContain("bind 0000:00:1f.0, 0000:00:1f.2 and 0000:00:1f.3 to vfio-pci");
    expect(profile.hint).toContain("leave out 0000:03:00.0");
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
