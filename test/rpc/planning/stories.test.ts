import { describe, expect, it } from "vitest";
import { Client } from "./client.ts";

const MSI = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
const TiB = 2 ** 40;

describe("a guest of 1.5 TiB does not start on an AMD host", () => {
  const GPU = "0000:41:00.0";
  const NIC = "0000:c1:00.0";
  const guest = { type: "q35", memory: 1.5 * TiB };
  const hyperTransport = { start: "0xfd00000000", last: "0xffffffffff" };

  async function probedHost() {
    const amd = Client.onDemoHost("amd");
    for (const device of [GPU, NIC]) await amd.ask("probe-device", { device });
    return amd;
  }

  it("and its operator learns that RAM above 4 GiB runs into a range that both devices reserve", async () => {
    const amd = await probedHost();
    const answer = await amd.ask("check-layout", { machine: guest, devices: [GPU, NIC] });
    expect(answer).toMatchObject({ fits: false, exact: true });
    expect(answer.windows.filter(({ fits }: { fits: boolean }) => !fits)).toEqual([
      {
        name: "ram-above-4g",
        start: "0x100000000",
        last: "0x1807fffffff",
        required: true,
        fits: false,
        misaligned: false,
        conflicts: [
          {
            ...hyperTransport,
            causes: [
              { device: GPU, group: 22, kind: "region", type: "reserved" },
              { device: NIC, group: 30, kind: "region", type: "reserved" },
            ],
          },
        ],
      },
    ]);
  });

  it("but would with a vCPU of AMD's, for which QEMU puts that RAM above 1 TiB", async () => {
    const amd = await probedHost();
    const machine = { ...guest, "amd-vcpu": true };
    const answer = await amd.ask("check-layout", { machine, devices: [GPU, NIC] });
    expect(answer).toMatchObject({ fits: true, exact: true });
    const ram = answer.windows.find(({ name }: { name: string }) => name === "ram-above-4g");
    expect(ram).toMatchObject({ start: "0x10000000000", fits: true });
  });

  it("while one of 1010 GiB just fits below the hole as pc, one gigabyte more does not", async () => {
    const amd = await probedHost();
    const check = async (gigabytes: number) => {
      const machine = { type: "pc", memory: gigabytes * 2 ** 30, "pci-hole64-size": 0 };
      return (await amd.ask("check-layout", { machine, devices: [GPU] })).fits;
    };
    expect([await check(1011), await check(1012)]).toEqual([true, false]);
  });

  it("and a GPU's BAR that firmware puts into the hole is found as well", async () => {
    const amd = await probedHost();
    const layout = [{ name: "gpu-bar", start: "0xfe00000000", size: "0x800000000" }];
    const answer = await amd.ask("check-layout", { layout, devices: [GPU] });
    expect(answer.fits).toBe(false);
    const place = await amd.ask("find-free-range", {
      size: "0x800000000",
      alignment: "0x800000000",
      "not-below": "0x100000000",
      direction: "up",
      devices: [GPU],
    });
    expect(place).toEqual({
      range: { start: "0x800000000", last: "0xfffffffff" },
      exact: true,
      blockers: [],
    });
  });
});

describe("a device is refused because firmware demands a 1:1 mapping", () => {
  const RMRR = { start: "0xbdf6e000", last: "0xbdf84fff", type: "direct" };
  const blockersOf = async (client: Client, device: string) =>
    (await client.ask("query-devices", { device })).devices[0].blockers;

  it("and when that is for one device only, the answer says so", async () => {
    const intel = Client.onDemoHost("intel");
    expect(await blockersOf(intel, "0000:03:00.0")).toEqual([
      {
        device: "0000:03:00.0",
        reason: "direct-mapping",
        transient: false,
        detail: expect.stringContaining("on this device only"),
        region: { ...RMRR, enforced: true },
        devices: ["0000:03:00.0"],
      },
    ]);
  });

  it("and when the board's firmware does it for all, the others are named", async () => {
    const device = (name: string, group: number, regions: object[]) => ({
      device: name,
      group,
      iommu: "dmar0",
      driver: "vfio-pci",
      regions: [MSI, ...regions],
    });
    const board = new Client({
      iommus: [{ name: "dmar0" }],
      devices: [
        device("0000:03:00.0", 20, [RMRR]),
        device("0000:04:00.0", 21, [RMRR]),
        device("0000:05:00.0", 22, [RMRR]),
        device("0000:06:00.0", 23, []),
      ],
    });
    expect(await blockersOf(board, "0000:03:00.0")).toMatchObject([
      {
        detail: expect.stringContaining("on 3 devices in 3 groups"),
        devices: ["0000:03:00.0", "0000:04:00.0", "0000:05:00.0"],
      },
    ]);
    expect(await blockersOf(board, "0000:06:00.0")).toEqual([]);
    const explained = await board.ask("explain-range", { start: RMRR.start, last: RMRR.last });
    expect(explained.excluded).toHaveLength(1);
    expect(explained.excluded[0].causes.map(({ device }: { device: string }) => device)).toEqual([
      "0000:03:00.0",
      "0000:04:00.0",
      "0000:05:00.0",
    ]);
  });
});

describe("a guest dies on a host whose IOMMU has 39 bits", () => {
  const NIC = "0000:83:00.0";
  const layout = [
    { name: "ram", start: 0, size: 2 ** 31 },
    { name: "high", start: "0x8000000000", size: "0x40000000" },
  ];

  it("and before anybody asked the kernel, the answer promises nothing and says whom to ask", async () => {
    const intel = Client.onDemoHost("intel");
    const answer = await intel.ask("check-layout", { layout, devices: [NIC] });
    expect(answer).toMatchObject({
      exact: false,
      hint: `probe ${NIC} to learn its aperture (probe-device)`,
    });
  });

  it("and after a probe the window above the aperture does not fit, because of the aperture", async () => {
    const intel = Client.onDemoHost("intel");
    await intel.ask("probe-device", { device: NIC });
    const answer = await intel.ask("check-layout", { layout, devices: [NIC] });
    expect(answer).toMatchObject({ fits: false, exact: true });
    expect(answer.windows[1].conflicts).toEqual([
      {
        start: "0x8000000000",
        last: "0x803fffffff",
        causes: [{ device: NIC, group: 34, kind: "aperture" }],
      },
    ]);
  });
});

describe("a guest is to migrate between Arm hosts with MSI windows in different places", () => {
  const NIC = "0000:01:00.0";
  const host = (msi: object[]) =>
    new Client({
      iommus: [{ name: "smmu", aperture: { start: 0, last: "0xffffffffffff" } }],
      devices: [{ device: NIC, iommu: "smmu", driver: "vfio-pci", regions: msi }],
    });
  const hosts = {
    "node-a": host([{ start: "0x8000000", last: "0x80fffff", type: "msi" }]),
    "node-b": host([{ start: "0xc6010000", last: "0xc601ffff", type: "msi" }]),
    "hyper-v": host([{ start: "0xeff68000", last: "0xeff68fff", type: "msi" }]),
  };

  async function profiles() {
    const all = Object.entries(hosts).map(async ([name, client]) => {
      await client.ask("probe-device", { device: NIC });
      return client.ask("query-host-profile", { host: name });
    });
    return Promise.all(all);
  }

  it("and a layout that one host likes is refused by another, which is named", async () => {
    const machine = { type: "virt", memory: 4 * 2 ** 30 };
    const answer = await hosts["node-a"].ask("check-layout", { machine, hosts: await profiles() });
    expect(answer).toMatchObject({ fits: false, exact: true });
    const ram = answer.windows.find(({ name }: { name: string }) => name === "ram");
    expect(ram.conflicts).toEqual([
      { start: "0xc6010000", last: "0xc601ffff", causes: [{ kind: "host", host: "node-b" }] },
      { start: "0xeff68000", last: "0xeff68fff", causes: [{ kind: "host", host: "hyper-v" }] },
    ]);
  });

  it("and the place where all of them have room is found", async () => {
    const { range, exact } = await hosts["node-a"].ask("find-free-range", {
      size: 4 * 2 ** 30,
      alignment: 2 ** 30,
      hosts: await profiles(),
    });
    expect({ range, exact }).toEqual({ range: { start: "0x100000000", last: "0x1ffffffff" }, exact: true });
  });

  it("and from a host that nobody has probed comes a hint to do so there", async () => {
    const unprobed = host([{ start: "0x8000000", last: "0x80fffff", type: "msi" }]);
    const profile = await unprobed.ask("query-host-profile", { host: "node-d" });
    const answer = await hosts["node-a"].ask("predict-allowed-ranges", { hosts: [profile] });
    expect(answer.exact).toBe(false);
    expect(answer.hint).toBe(`on host node-d: probe ${NIC} to learn its aperture (probe-device)`);
  });
});

describe("a hot-plug into a running guest fails with EADDRINUSE and no range named", () => {
  const NIC = "0000:01:00.0";
  const DISK = "0000:02:00.0";
  const layout = [{ name: "ram", start: 0, last: "0xbfffffff" }];
  const reservedRam = { start: "0x80000000", last: "0x80ffffff" };

  /** The guest runs with a NIC; the disk reserves a piece of where its RAM is. */
  async function runningGuest() {
    const client = new Client({
      iommus: [{ name: "iommu0" }],
      devices: [
        { device: NIC, group: 1, iommu: "iommu0", driver: "vfio-pci", regions: [MSI] },
        {
          device: DISK,
          group: 2,
          iommu: "iommu0",
          driver: "vfio-pci",
          regions: [MSI, { ...reservedRam, type: "reserved" }],
        },
      ],
    });
    const { ioas } = await client.ask("create-ioas");
    await client.ask("hold-device", { device: NIC });
    await client.ask("attach-device", { device: NIC, ioas });
    await client.ask("hold-device", { device: DISK });
    return { client, ioas };
  }

  it("but with the layout enforced, the clash is refused at attach, with the range and the device", async () => {
    const { client, ioas } = await runningGuest();
    const checked = await client.ask("check-layout", { layout, ioas, enforce: true });
    expect(checked).toMatchObject({ fits: true, exact: true, enforced: true });
    const before = await client.ask("query-allowed-ranges", { ioas });

    const error = await client.refusal("attach-device", { device: DISK, ioas });
    expect(error.data).toMatchObject({
      class: "RangeConflict",
      errno: "EADDRINUSE",
      conflicts: [{ ...reservedRam, causes: [{ device: DISK, group: 2, kind: "region", type: "reserved" }] }],
    });
    const after = await client.ask("query-allowed-ranges", { ioas });
    expect(after.ranges).toEqual(before.ranges);
    expect(after.devices).toEqual([NIC]);
  });

  it("and before the hot-plug the same can be asked, without touching anything", async () => {
    const { client, ioas } = await runningGuest();
    const answer = await client.ask("check-layout", { layout, ioas, devices: [DISK] });
    expect(answer.windows[0]).toMatchObject({
      fits: false,
      conflicts: [{ ...reservedRam, causes: [{ device: DISK, group: 2, kind: "region", type: "reserved" }] }],
    });
    expect((await client.ask("query-ioas", { ioas })).ioas[0]).toMatchObject({
      devices: [NIC],
      "allow-list": null,
    });
  });

  it("and a layout that does not fit any more enforces nothing", async () => {
    const { client, ioas } = await runningGuest();
    await client.ask("attach-device", { device: DISK, ioas });
    const answer = await client.ask("check-layout", { layout, ioas, enforce: true });
    expect(answer).toMatchObject({ fits: false, enforced: false });
    expect((await client.ask("query-ioas", { ioas })).ioas[0]["allow-list"]).toBeNull();
  });
});
