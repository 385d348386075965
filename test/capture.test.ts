import { spawnSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { captureTopology } from "../src/capture.ts";
import { Host } from "../src/host/host.ts";
import { SimulatedKernel } from "../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../src/kernel/simulated/topology-file.ts";
import { MAIN } from "./daemon/daemon.ts";
import { DISK, GPU, MSI, NIC, type TestTopology } from "./host/simulation.ts";

const BOARD = { start: "0x1000", last: "0x1fff", type: "direct" };
const GRAPHICS = { start: "0x8000", last: "0x8fff", type: "direct-relaxable" };

const HOST: TestTopology = {
  kernel: { release: "6.9.1-test" },
  iommus: [
    { name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } },
    { name: "ivhd0" },
    { name: "smmu3.0x2b400000", aperture: { start: "0x0", last: "0xffffffffffff" } },
  ],
  devices: [
    { device: NIC, iommu: "dmar0", group: 7, driver: "vfio-pci", regions: [MSI] },
    { device: DISK, iommu: "dmar0", group: 9, driver: "nvme", regions: [BOARD, MSI] },
    { device: "0000:00:02.1", iommu: "dmar0", group: 9, driver: null, regions: [GRAPHICS, MSI] },
    { device: GPU, iommu: "ivhd0", group: 12, driver: "vfio-pci", regions: [MSI] },
    { device: "serial", iommu: "smmu3.0x2b400000", group: 13, driver: "vfio-platform" },
  ],
};

const hostOf = (topology: object) => new Host(new SimulatedKernel(parseTopology(topology)));

/** All that a client can ask of a host at rest, but for what depends on how often it asked. */
async function answers(host: Host) {
  const devices = await host.devices();
  return {
    devices,
    reserved: (await host.reservedOf(devices.map(({ platform }) => platform))).map(({ reserved }) => ({
      ...reserved,
      excluded: [...reserved.excluded],
      uncertain: [...reserved.uncertain],
      generation: 0,
      cached: true,
    })),
    predicted: [...host.predict(devices.map(({ platform }) => platform.device)).ranges],
    release: host.kernel.release,
    iommufd: host.platform.hasIommufd,
    vfioCdev: host.platform.hasVfioCdev,
  };
}

async function replayed(host: Host) {
  return hostOf(JSON.parse(JSON.stringify(await captureTopology(host))));
}

describe("a captured topology", () => {
  it.each([
    ["with everything", HOST],
    ["without iommufd", { ...HOST, kernel: { iommufd: false } }],
    ["without cdevs", { ...HOST, kernel: { "vfio-cdev": false } }],
    ["without devices", { devices: [] }],
  ])("of a host %s answers what the host answers", async (_which, topology) => {
    const host = hostOf(topology);
    expect(await answers(await replayed(host))).toEqual(await answers(host));
  });

  it("says of every aperture how it is known", async () => {
    const host = hostOf(HOST);
    await host.probe("serial");
    expect(await captureTopology(host)).toMatchObject({
      iommus: [
        { name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" }, "aperture-source": "estimate" },
        {
          name: "ivhd0",
          aperture: { start: "0x0", last: "0xffffffffffffffff" },
          "aperture-source": "estimate",
        },
        {
          name: "smmu3.0x2b400000",
          aperture: { start: "0x0", last: "0xffffffffffff" },
          "aperture-source": "probe",
          "page-size": 4096,
        },
      ],
    });
  });

  it("leaves out an aperture that nobody knows", async () => {
    const { iommus } = (await captureTopology(hostOf(HOST))) as { iommus: object[] };
    expect(iommus).toContainEqual({ name: "smmu3.0x2b400000", "aperture-source": "unknown" });
  });

  it("gives the regions of a group to each of its devices, and says so", async () => {
    const { devices } = (await captureTopology(hostOf(HOST))) as { devices: object[] };
    const group = { iommu: "dmar0", group: 9, regions: [BOARD, GRAPHICS, MSI], "regions-scope": "group" };
    expect(devices).toContainEqual({ ...group, device: DISK, driver: "nvme" });
    expect(devices).toContainEqual({ ...group, device: "0000:00:02.1", driver: null });
    expect(devices).toContainEqual({
      device: NIC,
      iommu: "dmar0",
      group: 7,
      driver: "vfio-pci",
      regions: [MSI],
    });
  });

  it("keeps words for regions that it does not know", async () => {
    const odd = { start: "0x4000", last: "0x4fff", type: "secure-world" };
    const host = hostOf({
      devices: [{ device: NIC, iommu: "i", regions: [odd, MSI] }],
      iommus: [{ name: "i" }],
    });
    const replay = await replayed(host);
    expect(await answers(replay)).toEqual(await answers(host));
    expect((await host.reserved(NIC)).reserved.regions).toContainEqual({
      ...{ start: 0x4000n, last: 0x4fffn },
      type: "secure-world",
      enforced: true,
    });
  });

  it("of regions that the kernel cut off shows the rest, and that there were more", async () => {
    const regions = Array.from({ length: 100 }, (_, index) => ({
      start: 0x100_0000 + index * 0x2000,
      last: 0x100_0fff + index * 0x2000,
      type: "reserved",
    }));
    const host = hostOf({ devices: [{ device: NIC, iommu: "i", regions }], iommus: [{ name: "i" }] });
    const replay = await replayed(host);
    expect(await answers(replay)).toEqual(await answers(host));
    expect((await replay.reserved(NIC)).reserved.truncated).toBe(true);
  });
});

describe("iovad --capture", () => {
  it("prints one on standard output, for which it needs no socket", () => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, "--capture"], {
      encoding: "utf8",
      env: { PATH: process.env.PATH },
    });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(() => parseTopology(JSON.parse(stdout))).not.toThrow();
  });
});
