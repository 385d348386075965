import assert from "node:assert/strict";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Reserved } from "../../src/host/knowledge/reserved.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { runs } from "../runs.ts";
import {
  AUDIO,
  DISK,
  GPU,
  MSI,
  NIC,
  range,
  refusal,
  Simulation,
  setOf,
  type TestTopology,
} from "./simulation.ts";

const U64_MAX = 0xffffffffffffffffn;
const HIGH = { start: "0x100000000", last: "0x1ffffffff", type: "reserved" };
const BITS_39 = { start: "0x0", last: "0x7fffffffff" };
/** `BITS_39` as a range, and what lies outside it. */
const APERTURE = range(0n, 0x7fffffffffn);
const OUTSIDE = RangeSet.from([range(0x8000000000n, U64_MAX)]);

async function reserved({ host }: Simulation, device: string): Promise<Reserved> {
  return (await host.reserved(device)).reserved;
}

const withAperture = (name: string) => [{ name, aperture: BITS_39 }];

describe("before a probe", () => {
  it("sysfs gives the regions, and nobody knows the aperture", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC, regions: [HIGH, MSI] }] });
    expect(await reserved(simulation, NIC)).toMatchObject({
      source: "sysfs",
      regions: [
        { start: 0xfee00000n, last: 0xfeefffffn, type: "msi", enforced: true },
        { start: 0x100000000n, last: 0x1ffffffffn, type: "reserved", enforced: true },
      ],
      aperture: null,
      apertureSource: "unknown",
      alignment: null,
      truncated: false,
    });
    expect((await reserved(simulation, NIC)).excluded).toEqual(setOf(HIGH, MSI));
  });

  it("a VT-d unit's own register gives an estimate of the aperture, which excludes nothing yet", async () => {
    const simulation = new Simulation({
      devices: [{ device: NIC, iommu: "dmar0", regions: [MSI] }],
      iommus: withAperture("dmar0"),
    });
    const known = await reserved(simulation, NIC);
    expect(known).toMatchObject({ aperture: APERTURE, apertureSource: "estimate" });
    expect(known.excluded).toEqual(setOf(MSI));
    expect(simulation.host.predict([NIC])).toMatchObject({ aperturesKnown: false, complete: true });
  });

  it("the regions of a group may be the device's or a sibling's", async () => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, group: 1, regions: [MSI] },
        { device: DISK, group: 1, regions: [HIGH] },
      ],
    });
    const known = await reserved(simulation, NIC);
    expect(known.regions.map(({ type }) => type)).toEqual(["msi", "reserved"]);
    expect(known.excluded).toEqual(RangeSet.EMPTY);
    expect(known.uncertain).toEqual(setOf(MSI, HIGH));
  });

  it("a file that the kernel has cut short is said to be incomplete", async () => {
    const regions = Array.from({ length: 120 }, (_, i) => {
      const start = `0x${(i * 2).toString(16)}000`;
      return { start, last: start.replace(/000$/, "fff"), type: "reserved" };
    });
    const simulation = new Simulation({ devices: [{ device: NIC, regions }] });
    expect((await reserved(simulation, NIC)).truncated).toBe(true);
    expect(simulation.host.predict([NIC]).complete).toBe(false);
    const { reserved: probed } = await simulation.host.probe(NIC);
    expect(probed.truncated).toBe(false);
    expect(probed.excluded).toEqual(setOf(...regions));
    expect(simulation.host.predict([NIC]).complete).toBe(true);
  });

  it("the file is read once and then kept", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC, regions: [MSI] }] });
    expect((await reserved(simulation, NIC)).cached).toBe(false);
    expect((await reserved(simulation, NIC)).cached).toBe(true);
    expect(simulation.host.cacheCounters).toEqual({ hits: 1, misses: 1, invalidations: 0 });
  });

  it("a device without an IOMMU group is not found", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC }] });
    expect((await refusal(() => simulation.host.reserved(GPU))).errorClass).toBe("DeviceNotFound");
  });
});

describe("a probe", () => {
  it("gives the device's own exclusions, aperture and alignment, and leaves nothing behind", async () => {
    const relaxable = { start: "0x0", last: "0xffffff", type: "direct-relaxable" };
    const simulation = new Simulation({
      devices: [{ device: NIC, regions: [relaxable, MSI] }],
      iommus: withAperture("iommu0"),
    });
    const { reserved: probed } = await simulation.host.probe(NIC);
    expect(probed).toMatchObject({
      source: "probe",
      aperture: APERTURE,
      apertureSource: "probe",
      alignment: 4096n,
      regions: [{ type: "direct-relaxable" }, { type: "msi" }],
    });
    expect(probed.excluded).toEqual(setOf(MSI).union(OUTSIDE));
    expect(simulation.openPaths()).toEqual([]);
    expect(simulation.host.heldCount).toBe(0);
    expect({ ...(await reserved(simulation, NIC)), cached: true }).toEqual({ ...probed, cached: true });
  });

  it("tells two devices of one group apart", async () => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, group: 1, regions: [MSI] },
        { device: DISK, group: 1, regions: [HIGH] },
      ],
    });
    for (const [device, region] of [
      [NIC, MSI],
      [DISK, HIGH],
    ] as const) {
      const { reserved: probed } = await simulation.host.probe(device);
      expect(probed.regions.map(({ type }) => type)).toEqual([region.type]);
      expect(probed.excluded).toEqual(setOf(region));
      expect(probed.uncertain).toEqual(RangeSet.EMPTY);
    }
    expect(simulation.host.predict([NIC, DISK]).ranges).toEqual(setOf(MSI, HIGH).invert());
  });

  it("keeps the parts of a sibling's regions in the order of the file", async () => {
    const wide = { start: "0x1000", last: "0xffff", type: "msi" };
    const own = ["0x4000", "0xc000"].map((start) => ({ start, last: start, type: "reserved" }));
    const simulation = new Simulation({
      devices: [
        { device: NIC, group: 1, regions: own },
        { device: DISK, group: 1, regions: [wide] },
      ],
    });
    await simulation.host.probe(NIC);
    const { regions } = await reserved(simulation, NIC);
    expect(regions.map(({ start, type }) => [start, type])).toEqual([
      [0x4000n, "msi"],
      [0x4000n, "reserved"],
      [0xc000n, "msi"],
      [0xc000n, "reserved"],
    ]);
  });

  it("moves the end of the aperture over a region that adjoins it: nobody can see where it really is", async () => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, regions: [{ start: "0xf0000", last: "0x1fffff", type: "reserved" }] },
        { device: DISK, regions: [{ start: "0xf0000", last: "0xfffff", type: "reserved" }] },
        { device: GPU, regions: [{ start: "0x200000", last: "0x2fffff", type: "reserved" }] },
      ],
      iommus: [{ name: "iommu0", aperture: { start: "0x10000", last: "0xfffff" } }],
    });
    const probe = async (device: string) => (await simulation.host.probe(device)).reserved;
    const left = (allowed: { start: bigint; last: bigint }) => RangeSet.from([allowed]);
    const reaching = await probe(NIC);
    expect(reaching.aperture).toEqual(range(0x10000n, 0x1fffffn));
    expect(reaching.excluded.invert()).toEqual(left(range(0x10000n, 0xeffffn)));
    const within = await probe(DISK);
    expect(within.aperture).toEqual(range(0x10000n, 0xfffffn));
    expect(within.excluded.invert()).toEqual(left(range(0x10000n, 0xeffffn)));
    const beyond = await probe(GPU);
    expect(beyond.aperture).toEqual(range(0x10000n, 0xfffffn));
    expect(beyond.excluded.invert()).toEqual(left(range(0x10000n, 0xfffffn)));
  });

  it("of a device that leaves nothing shows no aperture, and above all not another device's", async () => {
    const everything = { start: "0x0", last: `0x${U64_MAX.toString(16)}`, type: "reserved" };
    const simulation = new Simulation({
      devices: [
        { device: NIC, regions: [MSI] },
        { device: DISK, regions: [everything] },
      ],
      iommus: withAperture("iommu0"),
    });
    await simulation.host.probe(NIC);
    const { reserved: probed } = await simulation.host.probe(DISK);
    expect(probed).toMatchObject({ aperture: null, apertureSource: "probe" });
    expect(probed.excluded).toEqual(RangeSet.ALL);
  });

  it("of a device whose answer has not changed is no news", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC, regions: [MSI] }] });
    const first = (await simulation.host.probe(NIC)).reserved;
    const second = (await simulation.host.probe(NIC)).reserved;
    expect(second.generation).toBe(first.generation);
  });
});

describe("the first attach to an empty IOAS", () => {
  async function attached() {
    const simulation = new Simulation({
      devices: [
        { device: NIC, regions: [MSI] },
        { device: DISK, regions: [HIGH] },
      ],
      iommus: withAperture("iommu0"),
    });
    const { id } = simulation.host.createIoas("default");
    await simulation.host.hold(NIC, "default");
    await simulation.host.attach(NIC, id);
    return { ...simulation, simulation, id };
  }

  it("teaches as much as a probe", async () => {
    const { simulation } = await attached();
    const known = await reserved(simulation, NIC);
    expect(known).toMatchObject({
      source: "sysfs",
      aperture: APERTURE,
      apertureSource: "ioas",
      alignment: 4096n,
    });
    expect(known.excluded).toEqual(setOf(MSI).union(OUTSIDE));
    expect(simulation.host.predict([NIC])).toMatchObject({ aperturesKnown: true, complete: true });
  });

  it("teaches nothing of a device that joins others", async () => {
    const { simulation, host, id } = await attached();
    await host.hold(DISK, "default");
    await host.attach(DISK, id);
    expect((await reserved(simulation, DISK)).apertureSource).toBe("estimate");
    expect(host.mismatches).toBe(0);
  });

  it("teaches nothing when another device comes in at the same time", async () => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, regions: [MSI], "latency-ms": { attach: 3 } },
        { device: DISK, regions: [HIGH] },
      ],
    });
    const { host } = simulation;
    const { id } = host.createIoas("default");
    for (const device of [NIC, DISK]) await host.hold(device, "default");
    await Promise.all([host.attach(NIC, id), host.attach(DISK, id)]);
    expect((await reserved(simulation, NIC)).excluded).toEqual(setOf(MSI));
    expect((await reserved(simulation, DISK)).excluded).toEqual(setOf(HIGH));
    for (const device of [NIC, DISK]) {
      expect((await reserved(simulation, device)).apertureSource).toBe("unknown");
    }
  });

  it("does not make a probe's knowledge less", async () => {
    const { simulation, host, id } = await attached();
    await host.release(NIC);
    const { reserved: probed } = await host.probe(NIC);
    await host.hold(NIC, "default");
    await host.attach(NIC, id);
    expect(await reserved(simulation, NIC)).toEqual({ ...probed, cached: true });
  });

  it("again is no news", async () => {
    const { simulation, host, id } = await attached();
    const { generation } = await reserved(simulation, NIC);
    await host.detach(NIC);
    await host.attach(NIC, id);
    expect((await reserved(simulation, NIC)).generation).toBe(generation);
  });
});

describe("an aperture that one device has shown", () => {
  it("is an estimate for others behind the same IOMMU, and for nobody else", async () => {
    const simulation = new Simulation({
      devices: [{ device: NIC }, { device: DISK }, { device: GPU, iommu: "iommu1" }],
      iommus: [{ name: "iommu0", aperture: BITS_39 }, { name: "iommu1" }],
    });
    const before = { disk: await reserved(simulation, DISK), gpu: await reserved(simulation, GPU) };
    await simulation.host.probe(NIC);
    const disk = await reserved(simulation, DISK);
    expect(disk).toMatchObject({ aperture: APERTURE, apertureSource: "estimate", source: "sysfs" });
    expect(disk.excluded).toEqual(RangeSet.EMPTY);
    expect(disk.generation).toBeGreaterThan(before.disk.generation);
    expect(simulation.host.predict([DISK])).toMatchObject({ aperturesKnown: false, ranges: RangeSet.ALL });
    expect(await reserved(simulation, GPU)).toEqual({ ...before.gpu, cached: true });
  });
});

describe("an aperture whose end a region of the device hides", () => {
  it("is no estimate for others, and one that another device shows whole is", async () => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, regions: [{ start: "0xf0000000", last: "0x1ffffffff", type: "reserved" }] },
        { device: DISK },
        { device: GPU },
      ],
      iommus: [{ name: "iommu0", aperture: { start: "0x0", last: "0xffffffff" } }],
    });
    await simulation.host.probe(NIC);
    expect(await reserved(simulation, NIC)).toMatchObject({ aperture: range(0n, 0x1_ffff_ffffn) });
    expect(await reserved(simulation, GPU)).toMatchObject({ aperture: null, apertureSource: "unknown" });
    await simulation.host.probe(DISK);
    expect(await reserved(simulation, GPU)).toMatchObject({
      aperture: range(0n, 0xffff_ffffn),
      apertureSource: "estimate",
    });
  });
});

describe("a change of driver", () => {
  it("forgets the group's file and what was learnt", async () => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, group: 1, regions: [MSI] },
        { device: DISK, group: 1 },
      ],
      iommus: withAperture("iommu0"),
    });
    const { reserved: probed } = await simulation.host.probe(NIC);
    await simulation.machine.setDriver(NIC, null);
    const { invalidations } = simulation.host.cacheCounters;
    const known = await reserved(simulation, NIC);
    expect(known).toMatchObject({
      source: "sysfs",
      aperture: null,
      apertureSource: "unknown",
      cached: false,
    });
    expect(known.generation).toBeGreaterThan(probed.generation);
    expect(simulation.host.cacheCounters.invalidations).toBe(invalidations + 2);
  });

  it("of a sibling forgets the file, and keeps what the device itself has shown", async () => {
    const simulation = new Simulation({
      devices: [
        { device: NIC, group: 1, regions: [MSI] },
        { device: DISK, group: 1 },
      ],
    });
    await simulation.host.probe(NIC);
    await simulation.machine.setDriver(DISK, null);
    expect(await reserved(simulation, NIC)).toMatchObject({ source: "probe", cached: false });
  });

  it("there and back that nobody looked at in between is seen by the new VFIO device", async () => {
    const simulation = new Simulation({ devices: [{ device: NIC }, { device: DISK }] });
    const { reserved: probed } = await simulation.host.probe(DISK);
    await simulation.machine.setDriver(NIC, null);
    await simulation.machine.setDriver(DISK, null);
    await simulation.machine.setDriver(DISK, "vfio-pci");
    const known = await reserved(simulation, DISK);
    expect(known.source).toBe("sysfs");
    expect(known.generation).toBeGreaterThan(probed.generation);
  });
});

describe("a generation", () => {
  it("has one answer", async () => {
    const device = fc.constantFrom(NIC, DISK, GPU, AUDIO);
    const step = fc.record({
      device,
      kind: fc.constantFrom("probe", "attach", "release", "unbind", "rebind"),
    });
    const topology: TestTopology = {
      devices: [
        { device: NIC, group: 1, regions: [MSI] },
        { device: DISK, group: 1, regions: [HIGH] },
        { device: GPU, group: 2, regions: [HIGH] },
        { device: AUDIO, group: 3, iommu: "dmar1" },
      ],
      iommus: [{ name: "iommu0", aperture: BITS_39 }, { name: "dmar1" }],
    };
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const simulation = new Simulation(topology);
        const { host, machine } = simulation;
        const { id } = host.createIoas("default");
        const seen = new Map<string, object>();
        for (const { device, kind } of steps) {
          if (kind === "probe") await host.probe(device).catch(() => undefined);
          if (kind === "attach") {
            await host.hold(device, "default").catch(() => undefined);
            await host.attach(device, id).catch(() => undefined);
          }
          if (kind === "release" || kind === "unbind") await host.release(device).catch(() => undefined);
          if (kind === "unbind") await machine.setDriver(device, null);
          if (kind === "rebind" && (await host.device(device)).platform.driver === null)
            await machine.setDriver(device, "vfio-pci");
          for (const name of topology.devices.map(({ device }) => device)) {
            const { excluded, uncertain, ...rest } = await reserved(simulation, name);
            const answer = { ...rest, excluded: [...excluded], uncertain: [...uncertain], cached: true };
            const key = `${name} ${answer.generation}`;
            assert.deepEqual(answer, seen.get(key) ?? answer, key);
            seen.set(key, answer);
          }
        }
      }),
      { numRuns: runs(25, 300) },
    );
  });
});

describe("the proposed ioctl", () => {
  const IOCTL = 0x3bb0;
  const devices = [
    { device: NIC, group: 1, regions: [MSI] },
    { device: DISK, group: 1, regions: [HIGH] },
  ];

  it("replaces the group's file for a held device", async () => {
    const simulation = new Simulation(
      { devices, kernel: { "resv-iova-ranges": true } },
      { resvIovaRangesIoctl: IOCTL },
    );
    expect((await reserved(simulation, NIC)).source).toBe("sysfs");
    await simulation.host.hold(NIC, "default");
    const listed = await reserved(simulation, NIC);
    expect(listed).toMatchObject({ source: "resv-iova-ranges", apertureSource: "unknown", cached: false });
    expect(listed.regions.map(({ type }) => type)).toEqual(["msi"]);
    expect(listed.excluded).toEqual(setOf(MSI));
    expect(listed.uncertain).toEqual(RangeSet.EMPTY);
  });

  it("that the kernel does not have leaves the file", async () => {
    const simulation = new Simulation({ devices }, { resvIovaRangesIoctl: IOCTL });
    await simulation.host.hold(NIC, "default");
    for (let times = 0; times < 2; times++) expect((await reserved(simulation, NIC)).source).toBe("sysfs");
    expect(simulation.kernel.calls.filter((call) => call === "0x3bb0")).toHaveLength(1);
    const told = simulation.changes.filter(({ event }) => event === "RESV_IOCTL_UNKNOWN");
    expect(told).toEqual([{ event: "RESV_IOCTL_UNKNOWN", number: "0x3bb0" }]);
    expect(simulation.host.usesResvIovaRanges).toBe(false);
  });

  it("is never issued unless its number was given", async () => {
    const simulation = new Simulation({ devices, kernel: { "resv-iova-ranges": true } });
    const { id } = simulation.host.createIoas("default");
    await simulation.host.probe(NIC);
    await simulation.host.hold(NIC, "default");
    await simulation.host.attach(NIC, id);
    expect((await reserved(simulation, NIC)).source).toBe("probe");
    expect(simulation.kernel.calls.filter((call) => call.startsWith("0x"))).toEqual([]);
  });
});
