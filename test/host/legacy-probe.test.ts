import { describe, expect, it } from "vitest";
import type { HostErrorClass } from "../../src/host/errors.ts";
import { SystemCallError } from "../../src/kernel/kernel.ts";
import type { ErrnoName } from "../../src/uapi/errno.ts";
import {
  DISK,
  GPU,
  MSI,
  NIC,
  range,
  refusal,
  Simulation,
  type TestDevice,
  type TestTopology,
} from "./simulation.ts";

const LOW = { start: "0x1000", last: "0x1fff", type: "reserved" };
const HIGH = { start: "0x100000000", last: "0x1ffffffff", type: "reserved" };
const NARROW = { name: "iommu0", aperture: { start: "0x0", last: "0x7fffffffff" } };

/** A host without iommufd, on which VFIO has groups and containers only. */
function legacy(devices: readonly TestDevice[], others: Partial<TestTopology> = {}): Simulation {
  return new Simulation({ kernel: { iommufd: false }, iommus: [NARROW], devices, ...others });
}

describe("a probe where iommufd or the cdev is missing", () => {
  it.each([{ iommufd: false }, { "vfio-cdev": false }])("with %o asks type1, and says so", async (kernel) => {
    const simulation = new Simulation({
      kernel,
      iommus: [NARROW],
      devices: [{ device: NIC, regions: [MSI] }],
    });
    const { reserved } = await simulation.host.probe(NIC);
    expect(reserved).toMatchObject({
      source: "probe",
      backend: "vfio-type1",
      scope: "device",
      apertureSource: "probe",
      aperture: range(0n, 0x7fffffffffn),
      alignment: 4096n,
    });
    expect([...reserved.excluded]).toEqual([
      range(0xfee00000n, 0xfeefffffn),
      range(0x8000000000n, 2n ** 64n - 1n),
    ]);
    expect(simulation.openPaths()).toEqual([]);
    expect(simulation.events()).toEqual([`DEVICE_PROBED ${NIC}`]);
  });

  it("gives what iommufd would, whatever the regions and the aperture", async () => {
    const devices = [
      { device: NIC, regions: [MSI, LOW, HIGH, { ...LOW, start: "0x0", type: "direct-relaxable" }] },
    ];
    const iommus = [{ name: "iommu0", aperture: { start: "0x1800", last: "0x1fffffffe" } }];
    const old = await legacy(devices, { iommus }).host.probe(NIC);
    const now = await new Simulation({ devices, iommus }).host.probe(NIC);
    expect([...old.reserved.excluded]).toEqual([...now.reserved.excluded]);
    expect(old.reserved).toMatchObject({
      aperture: now.reserved.aperture,
      alignment: now.reserved.alignment,
    });
    expect(now.reserved.backend).toBe("iommufd");
  });

  it("tells of the group, with what the siblings reserve", async () => {
    const simulation = legacy([
      { device: NIC, group: 1, regions: [MSI] },
      { device: DISK, group: 1, regions: [LOW] },
    ]);
    const { reserved } = await simulation.host.probe(NIC);
    expect(reserved).toMatchObject({ source: "probe", scope: "group" });
    expect(reserved.excluded.covers(range(0x1000n, 0x1fffn))).toBe(true);
  });

  it("asks for more room when there are many ranges", async () => {
    const regions = Array.from({ length: 100 }, (_, index) => {
      const start = (index + 1) * 0x10000;
      return {
        start: `0x${start.toString(16)}`,
        last: `0x${(start + 0xfff).toString(16)}`,
        type: "reserved",
      };
    });
    const { reserved } = await legacy([{ device: NIC, regions }]).host.probe(NIC);
    expect(reserved.excluded.size).toBe(101);
  });

  it("is remembered until the device changes its driver", async () => {
    const { host, machine } = legacy([{ device: NIC, regions: [MSI] }]);
    await host.probe(NIC);
    expect((await host.reserved(NIC)).reserved).toMatchObject({ source: "probe", backend: "vfio-type1" });
    await machine.setDriver(NIC, "nvme");
    expect((await host.reserved(NIC)).reserved).toMatchObject({ source: "sysfs", backend: null });
  });

  it("leaves the host as it is: there is nothing to hold a device with", async () => {
    const { host } = legacy([{ device: NIC }]);
    const { errorClass, data } = await refusal(() => host.hold(NIC, "default"));
    expect([errorClass, data.missing]).toEqual(["NotSupported", "/dev/iommu"]);
    expect(await host.devices()).toMatchObject([{ blockers: [{ reason: "no-cdev" }] }]);
  });
});

describe("a probe by type1 that is refused", () => {
  const fails = (call: string, errno: ErrnoName) => (simulation: Simulation) => {
    simulation.kernel.before = (made) => {
      if (made === call) throw new SystemCallError(errno, made);
    };
  };
  const cases: {
    what: string;
    devices?: readonly TestDevice[];
    before?: (simulation: Simulation) => unknown;
    errorClass: HostErrorClass;
    data?: object;
    advice: string;
  }[] = [
    {
      what: "a sibling on a host driver",
      devices: [
        { device: NIC, group: 1 },
        { device: DISK, group: 1, driver: "nvme" },
      ],
      errorClass: "DeviceBusy",
      data: { blockers: [{ reason: "group-sibling", devices: [DISK] }] },
      advice: "unbind it",
    },
    {
      what: "a group that somebody has open",
      before: ({ machine }) => machine.open("/dev/vfio/0"),
      errorClass: "DeviceBusy",
      data: { errno: "EBUSY" },
      advice: "fuser -v /dev/vfio/0",
    },
    {
      what: "a device that firmware wants mapped 1:1",
      devices: [{ device: NIC, regions: [{ ...HIGH, type: "direct" }] }],
      errorClass: "DeviceBlocked",
      data: { errno: "EINVAL", blockers: [{ reason: "direct-mapping" }] },
      advice: "firmware setting",
    },
    {
      what: "a device whose interrupts are not isolated",
      devices: [{ device: NIC, "isolated-msi": false }],
      errorClass: "DeviceBlocked",
      data: { errno: "EPERM", blockers: [{ reason: "no-isolated-msi" }] },
      advice: "vfio_iommu_type1's allow_unsafe_interrupts",
    },
    {
      what: "a device without a driver",
      devices: [{ device: NIC, driver: null }],
      errorClass: "DeviceNotReady",
      data: { driver: null },
      advice: "vfio-pci",
    },
    {
      what: "a VFIO without type1",
      before: fails("0x3b66", "ENODEV"),
      errorClass: "NotSupported",
      data: { missing: "vfio_iommu_type1", errno: "ENODEV" },
      advice: "modprobe vfio_iommu_type1",
    },
    {
      what: "a container whose module does not load",
      before: fails("open /dev/vfio/vfio", "ENODEV"),
      errorClass: "NotSupported",
      data: { missing: "/dev/vfio/vfio", errno: "ENODEV" },
      advice: "modprobe vfio-pci",
    },
    {
      what: "iommufd in the container's place",
      before: fails("DESTROY", "ENOENT"),
      errorClass: "NotSupported",
      data: { missing: "CONFIG_VFIO_DEVICE_CDEV" },
      advice: "CONFIG_VFIO_DEVICE_CDEV",
    },
    {
      what: "a group that leaves VFIO",
      before: fails("open /dev/vfio/0", "ENODEV"),
      errorClass: "DeviceNotFound",
      data: { errno: "ENODEV" },
      advice: "query-devices",
    },
    {
      what: "an errno that says nothing",
      before: fails("0x3b70", "ENOMEM"),
      errorClass: "KernelError",
      data: { errno: "ENOMEM", operation: "VFIO_IOMMU_GET_INFO" },
      advice: "dmesg",
    },
  ];

  it.each(cases)(
    "$what is $errorClass, and nothing stays open",
    async ({ devices, before, errorClass, data, advice }) => {
      const simulation = legacy(devices ?? [{ device: NIC }, { device: GPU }]);
      await before?.(simulation);
      const open = simulation.openPaths();
      const error = await refusal(() => simulation.host.probe(NIC));
      expect(error.errorClass).toBe(errorClass);
      expect(error.data).toMatchObject(data ?? {});
      expect(error.message).toContain(advice);
      expect(simulation.openPaths()).toEqual(open);
    },
  );

  it("whichever call fails, and however, leaves nothing open and lets the next one work", async () => {
    const calls = legacy([{ device: NIC }]);
    await calls.host.probe(NIC);
    for (let nth = 0; nth < calls.kernel.calls.length; nth++) {
      for (const errno of ["EINVAL", "ENOENT", "ENOMEM", "EBUSY", "EPERM", "ENODEV"] as const) {
        const simulation = legacy([{ device: NIC }]);
        let left = nth;
        simulation.kernel.before = (made) => {
          if (left-- === 0 && made !== "close") throw new SystemCallError(errno, made);
        };
        // EINVAL is what a container answers to the question whether it is an iommufd.
        const isHarmless =
          calls.kernel.calls[nth] === "close" ||
          (calls.kernel.calls[nth] === "DESTROY" && errno === "EINVAL");
        if (isHarmless) await simulation.host.probe(NIC);
        else await refusal(() => simulation.host.probe(NIC));
        expect(simulation.openPaths()).toEqual([]);
        await simulation.host.probe(NIC);
      }
    }
  });
});
