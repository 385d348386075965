import { describe, expect, it } from "vitest";
import { parseTopology, TopologyError } from "../../src/kernel/simulated/topology-file.ts";
import { deviceName } from "../../src/rpc/inputs.ts";

const U64_MAX = (1n << 64n) - 1n;

/** All that parseTopology says is wrong. */
function problemsOf(value: unknown): readonly string[] {
  try {
    parseTopology(value);
  } catch (error) {
    if (error instanceof TopologyError) return error.problems;
    throw error;
  }
  return [];
}

const device = (more: object = {}) => ({
  iommus: [{ name: "dmar0" }],
  devices: [{ device: "0000:00:05.0", iommu: "dmar0", ...more }],
});

describe("a topology", () => {
  it.each([
    ...["0000:00:05.0", "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", "fe@0", "x".repeat(64), "x".repeat(65)],
    ...["", ".", "..", "...", "a,b", "a+b", "a/b", "a b", "é", "a\n"],
  ])("may have a device of a name that clients can ask for, and of no other: %j", (name) => {
    expect(problemsOf(device({ device: name })).length === 0).toBe(deviceName().safeParse(name).success);
  });

  it("may say everything", () => {
    const topology = parseTopology({
      kernel: {
        release: "6.6.1",
        "page-size": 16384,
        iommufd: true,
        "vfio-cdev": false,
        "resv-iova-ranges": true,
        "iommufd-test": true,
      },
      iommus: [
        {
          name: "dmar0",
          aperture: { start: "0x1000", last: "0x7FFFFFFFFF" },
          "page-size": 65536,
          "late-aperture": true,
          "aperture-source": "probe",
        },
      ],
      devices: [
        {
          device: "0000:00:05.0",
          iommu: "dmar0",
          group: 2,
          driver: "vfio-pci",
          regions: [{ start: 4276092928, last: "0x0feefffff", type: "msi" }],
          "regions-scope": "group",
          "regions-truncated": true,
          coherent: false,
          "isolated-msi": false,
          "latency-ms": { bind: 1, attach: 2, detach: 3, close: 4 },
          pci: { vendor: "0x8086", device: "0x1521", class: "0x020000", "subsystem-vendor": "0x8086" },
          "numa-node": 1,
        },
      ],
      files: { "/proc/iomem": "text" },
    });
    expect(topology).toEqual({
      files: new Map([["/proc/iomem", "text"]]),
      kernel: {
        release: "6.6.1",
        pageSize: 16384,
        iommufd: true,
        vfioCdev: false,
        resvIovaRanges: true,
        iommufdTest: true,
      },
      iommus: [
        {
          name: "dmar0",
          aperture: { start: 0x1000n, last: 0x7fffffffffn },
          pageSize: 65536,
          lateAperture: true,
        },
      ],
      devices: [
        {
          device: "0000:00:05.0",
          iommu: "dmar0",
          group: 2,
          driver: "vfio-pci",
          regions: [{ start: 0xfee00000n, last: 0xfeefffffn, type: "msi" }],
          isTruncated: true,
          coherent: false,
          isolatedMsi: false,
          latency: { bind: 1, attach: 2, detach: 3, close: 4 },
          pci: {
            vendor: "0x8086",
            device: "0x1521",
            class: "0x020000",
            subsystemVendor: "0x8086",
            subsystemDevice: "0x0000",
          },
          numaNode: 1,
        },
      ],
    });
  });

  it("may leave out what is ordinary", () => {
    expect(parseTopology({})).toEqual({
      kernel: {
        release: "6.12.0",
        pageSize: 4096,
        iommufd: true,
        vfioCdev: true,
        resvIovaRanges: false,
        iommufdTest: false,
      },
      iommus: [],
      devices: [],
      files: new Map(),
    });
    const { iommus, devices } = parseTopology(device());
    expect(iommus).toEqual([
      { name: "dmar0", aperture: { start: 0n, last: U64_MAX }, pageSize: 4096, lateAperture: false },
    ]);
    expect(devices).toEqual([
      {
        device: "0000:00:05.0",
        iommu: "dmar0",
        group: 0,
        driver: null,
        regions: [],
        isTruncated: false,
        coherent: true,
        isolatedMsi: true,
        latency: { bind: 0, attach: 0, detach: 0, close: 0 },
        pci: null,
        numaNode: null,
      },
    ]);
  });

  it("gives devices that name no group the lowest numbers that no device names", () => {
    const { devices } = parseTopology({
      iommus: [{ name: "dmar0" }],
      devices: [
        { device: "a", iommu: "dmar0" },
        { device: "b", iommu: "dmar0", group: 1 },
        { device: "c" },
        { device: "d", iommu: "dmar0" },
      ],
    });
    expect(devices.map(({ group }) => group)).toEqual([0, 1, null, 2]);
  });
});

describe("a topology that is wrong", () => {
  const cases: [string, unknown, string][] = [
    ["not an object", [], "topology: "],
    ["a file elsewhere", { files: { "/etc/passwd": "" } }, "files./etc/passwd: "],
    ["a file that climbs out", { files: { "/proc/../dev/x": "" } }, "files./proc/../dev/x: "],
    ["an unknown member", { machine: 1 }, 'topology: Unrecognized key: "machine"'],
    ["an unknown member of a device", device({ drver: "x" }), 'devices[0]: Unrecognized key: "drver"'],
    ["a device's name with a slash", device({ device: "a/b" }), "devices[0].device: must be a name"],
    ["a device's name that is a way up", device({ device: ".." }), "devices[0].device: must be a name"],
    ["an empty driver", device({ driver: "" }), "devices[0].driver: must be a name"],
    ["an unknown IOMMU", device({ iommu: "dmar1" }), "devices[0].iommu: no IOMMU is named dmar1"],
    ["a group without an IOMMU", device({ iommu: null, group: 1 }), "devices[0].group: a device without"],
    [
      "a region's type of two words",
      device({ regions: [{ start: 0, last: 1, type: "sw msi" }] }),
      "devices[0].regions[0].type: ",
    ],
    [
      "a region upside down",
      device({ regions: [{ start: "0x1000", last: "0xfff", type: "msi" }] }),
      "devices[0].regions[0].last: 0xfff is below start 0x1000",
    ],
    [
      "an address over 64 bits",
      device({ regions: [{ start: 0, last: "0x10000000000000000", type: "msi" }] }),
      "devices[0].regions[0].last: must fit in 64 bits",
    ],
    [
      "an address that is no hexadecimal",
      device({ regions: [{ start: "1000", last: 1, type: "msi" }] }),
      "devices[0].regions[0].start: must be an address",
    ],
    [
      "an integer that has lost bits",
      device({ regions: [{ start: 2 ** 53, last: 2 ** 60, type: "msi" }] }),
      "devices[0].regions[0].start: must be an address",
    ],
    [
      "a page that is no power of two",
      { iommus: [{ name: "a", "page-size": 5000 }] },
      "iommus[0].page-size: ",
    ],
    ["a host's page that no CPU has", { kernel: { "page-size": 8192 } }, "kernel.page-size: "],
    ["a negative latency", device({ "latency-ms": { bind: -1 } }), "devices[0].latency-ms.bind: "],
    ["an IOMMU twice", { iommus: [{ name: "a" }, { name: "a" }] }, "iommus[1].name: a is there twice"],
    [
      "a device twice",
      { devices: [{ device: "a" }, { device: "a" }] },
      "devices[1].device: a is there twice",
    ],
    [
      "a group behind two IOMMUs",
      {
        iommus: [{ name: "x" }, { name: "y" }],
        devices: [
          { device: "a", iommu: "x", group: 3 },
          { device: "b", iommu: "y", group: 3 },
        ],
      },
      "devices[1].group: group 3 is behind x already",
    ],
  ];
  it.each(cases)("is refused for %s, in one line that says where", (_what, value, problem) => {
    const [first] = problemsOf(value);
    expect(first).toContain(problem);
    expect(first).not.toContain("\n");
    expect(() => parseTopology(value)).toThrow(first);
  });

  it("is told all that is wrong", () => {
    const problems = problemsOf({ kernel: { release: "" }, iommus: [{}], devices: [{ device: "a b" }] });
    expect(problems.map((problem) => problem.split(":")[0])).toEqual([
      "kernel.release",
      "iommus[0].name",
      "devices[0].device",
    ]);
  });
});
