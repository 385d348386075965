import { describe, expect, it } from "vitest";
import { Iommufd } from "../../src/kernel/iommufd.ts";
import { VfioDevice } from "../../src/kernel/vfio.ts";
import { AUDIO, DISK, GPU, MSI, NIC, range, refusal, Simulation, setOf } from "./simulation.ts";

const U64_MAX = (1n << 64n) - 1n;
const OWN = { start: "0x100000", last: "0x1fffff", type: "reserved" };

/** GPU and AUDIO in one group, all behind the one unit but DISK; the unit shows no registers. */
const topology = {
  iommus: [{ name: "iommu0", aperture: { start: "0x0", last: "0xffffffffffff" } }, { name: "iommu1" }],
  devices: [
    { device: NIC, group: 1, regions: [MSI] },
    { device: DISK, group: 2, iommu: "iommu1", regions: [MSI] },
    { device: GPU, group: 3, regions: [OWN, MSI] },
    { device: AUDIO, group: 3, regions: [MSI] },
  ],
};

const reserved = async ({ host }: Simulation, device: string) => (await host.reserved(device)).reserved;

describe("a probe", () => {
  it("makes its aperture the estimate for the devices behind the same IOMMU, and for no others", async () => {
    const simulation = new Simulation(topology);
    const before = await reserved(simulation, AUDIO);
    expect(before).toMatchObject({ aperture: null, apertureSource: "unknown" });
    await simulation.host.probe(NIC);
    const aperture = range(0n, 0xffff_ffff_ffffn);
    expect(await reserved(simulation, NIC)).toMatchObject({ aperture, apertureSource: "probe" });
    const after = await reserved(simulation, AUDIO);
    expect(after).toMatchObject({ aperture, apertureSource: "estimate", source: "sysfs", alignment: null });
    expect(after.generation).toBeGreaterThan(before.generation);
    expect(await reserved(simulation, DISK)).toMatchObject({ aperture: null, apertureSource: "unknown" });
    // An estimate excludes nothing for certain.
    expect(simulation.host.predict([AUDIO])).toMatchObject({ aperturesKnown: false });
  });

  it("is the kernel's answer and no kept one; what is asked later of the device is kept from it", async () => {
    const simulation = new Simulation(topology);
    for (let round = 0; round < 2; round++) {
      const { reserved: answer } = await simulation.host.probe(NIC);
      expect(answer.cached).toBe(false);
      expect(await reserved(simulation, NIC)).toEqual({ ...answer, cached: true });
    }
  });

  it("takes the place of what the IOMMU's registers suggest", async () => {
    const late = { start: "0x1000", last: "0x7fffffffff" };
    const simulation = new Simulation({
      iommus: [
        { name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } },
        { name: "dmar1", aperture: late },
      ],
      devices: [
        { device: NIC, iommu: "dmar0", regions: [MSI] },
        { device: DISK, iommu: "dmar1", regions: [MSI] },
        { device: GPU, iommu: "dmar1", regions: [MSI] },
      ],
    });
    const suggested = await reserved(simulation, NIC);
    expect(suggested).toMatchObject({ aperture: range(0n, 0x7f_ffff_ffffn), apertureSource: "estimate" });
    await simulation.host.probe(NIC);
    expect(await reserved(simulation, NIC)).toMatchObject({
      aperture: suggested.aperture,
      apertureSource: "probe",
    });
    // No VT-d unit has this one, so that nothing is suggested.
    expect(await reserved(simulation, GPU)).toMatchObject({ aperture: null });
    await simulation.host.probe(DISK);
    expect(await reserved(simulation, GPU)).toMatchObject({
      aperture: range(0x1000n, 0x7f_ffff_ffffn),
      apertureSource: "estimate",
    });
  });

  it("of one member of a group leaves open which of the group's regions are another's", async () => {
    const simulation = new Simulation(topology);
    await simulation.host.probe(AUDIO);
    const audio = await reserved(simulation, AUDIO);
    expect([...audio.excluded]).toEqual([
      range(0xfee0_0000n, 0xfeef_ffffn),
      range(0x1_0000_0000_0000n, U64_MAX),
    ]);
    expect(audio.regions.map(({ start }) => start)).toEqual([0xfee0_0000n]);
    const gpu = await reserved(simulation, GPU);
    expect(gpu).toMatchObject({ source: "sysfs", apertureSource: "estimate" });
    expect(gpu.excluded.isEmpty).toBe(true);
    expect([...gpu.uncertain]).toEqual([...setOf(OWN, MSI)]);
  });

  it.each([
    ["another process", NIC],
    ["another process that has its group sibling", AUDIO],
  ])("of a device that %s has bound fails with DeviceBusy and changes nothing", async (_who, bound) => {
    const simulation = new Simulation(topology);
    const { host, machine } = simulation;
    const asked = bound === AUDIO ? GPU : bound;
    const before = await reserved(simulation, asked);
    // Past the host, as another process would.
    const other = Iommufd.open(machine);
    const { platform } = await host.reserved(bound);
    const cdev = VfioDevice.open(machine, platform.vfioDevice as string);
    await cdev.bind(other.fd);
    const ioas = other.allocIoas();
    await cdev.attach(ioas);
    const ranges = await other.iovaRanges(ioas);
    const open = simulation.openPaths();

    expect(await refusal(() => host.probe(asked))).toMatchObject({ errorClass: "DeviceBusy" });

    expect(simulation.openPaths()).toEqual(open);
    expect(await reserved(simulation, asked)).toEqual({ ...before, cached: true });
    expect(await other.iovaRanges(ioas)).toEqual(ranges);
    expect(simulation.changes).toEqual([]);
    await cdev.close();
    await host.probe(asked);
  });

  it("of a device that the daemon itself holds fails with DeviceBusy and leaves it attached", async () => {
    const simulation = new Simulation(topology);
    const { host } = simulation;
    const { id } = host.createIoas("default");
    await host.hold(NIC, "default");
    await host.attach(NIC, id);
    const answer = await host.allowed(host.ioas("default", id));
    expect(await refusal(() => host.probe(NIC))).toMatchObject({ errorClass: "DeviceBusy" });
    expect([...(await simulation.actual("default", id))]).toEqual([...answer.ranges]);
  });
});
