import { describe, expect, it } from "vitest";
import type { HostErrorClass } from "../../src/host/errors.ts";
import type { HostOptions } from "../../src/host/host.ts";
import { Iommufd } from "../../src/kernel/iommufd.ts";
import { SystemCallError } from "../../src/kernel/kernel.ts";
import { VfioDevice } from "../../src/kernel/vfio.ts";
import { DEFAULT_LIMITS } from "../../src/limits.ts";
import type { ErrnoName } from "../../src/uapi/errno.ts";
import { DISK, GPU, MSI, NIC, range, refusal, Simulation, setOf, type TestTopology } from "./simulation.ts";
import { failNth } from "./tampered-kernel.ts";

const HIGH = { start: "0x100000000", last: "0x1ffffffff", type: "reserved" };
const TWO: TestTopology = {
  devices: [
    { device: NIC, group: 1, regions: [MSI] },
    { device: DISK, group: 1 },
    { device: GPU, group: 2, driver: "amdgpu" },
  ],
};

interface Situation {
  readonly what: string;
  readonly topology?: TestTopology;
  readonly options?: HostOptions;
  readonly before?: (simulation: Simulation) => unknown;
  readonly call: (simulation: Simulation) => unknown;
  /** What the error says beside its class: part of its data, and part of its advice. */
  readonly data?: object;
  readonly advice: string | RegExp;
}

const failing = (call: string, errno: ErrnoName) => (simulation: Simulation) => {
  failNth(simulation.kernel, 0, errno, call);
};

const WITHOUT_CDEVS = {
  topology: { ...TWO, kernel: { "vfio-cdev": false } },
  data: { driver: "vfio-pci", missing: "CONFIG_VFIO_DEVICE_CDEV" },
  advice: "Linux 6.6 or later",
};

const SITUATIONS: Partial<Record<HostErrorClass, Situation[]>> = {
  DeviceNotFound: [
    {
      what: "a name that no device with an IOMMU group has",
      call: ({ host }) => host.hold("0000:0a:00.0", "default"),
      data: { device: "0000:0a:00.0" },
      advice: "query-devices",
    },
    {
      what: "a device that goes while it is being opened",
      before: failing("open /dev/vfio/devices/vfio0", "ENODEV"),
      call: ({ host }) => host.hold(NIC, "default"),
      data: { errno: "ENODEV" },
      advice: "query-devices",
    },
    {
      what: "a device that goes while it is being bound",
      before: failing("BIND", "ENODEV"),
      call: ({ host }) => host.hold(NIC, "default"),
      data: { errno: "ENODEV" },
      advice: "has gone",
    },
    {
      what: "a device that has gone by the time it is attached",
      before: async ({ host, kernel }) => {
        host.createIoas("default");
        await host.hold(NIC, "default");
        failNth(kernel, 0, "ENODEV", "ATTACH");
      },
      call: ({ host }) => host.attach(NIC, 1),
      data: { errno: "ENODEV" },
      advice: "release it",
    },
  ],
  DeviceBusy: [
    {
      what: "a device that is held already",
      before: ({ host }) => host.hold(NIC, "default"),
      call: ({ host }) => host.hold(NIC, "default"),
      data: { context: "default" },
      advice: "release it there first",
    },
    {
      what: "the probe of a held device",
      before: ({ host }) => host.hold(NIC, "default"),
      call: ({ host }) => host.probe(NIC),
      data: { context: "default" },
      advice: "release it there first",
    },
    {
      what: "a device whose sibling a host driver uses",
      topology: { devices: [...TWO.devices.slice(0, 1), { device: DISK, group: 1, driver: "nvme" }] },
      call: ({ host }) => host.hold(NIC, "default"),
      data: { errno: "EPERM", blockers: [{ reason: "group-sibling", devices: [DISK] }] },
      advice: "bind it to vfio-pci as well",
    },
    {
      what: "a device whose sibling is held in another context",
      before: async ({ host }) => {
        host.createContext("guest", "persistent");
        await host.hold(DISK, "guest");
      },
      call: ({ host }) => host.hold(NIC, "default"),
      data: { errno: "EPERM", devices: [DISK] },
      advice: "a group has one context",
    },
    {
      what: "the probe of a device whose sibling is held",
      before: ({ host }) => host.hold(DISK, "default"),
      call: ({ host }) => host.probe(NIC),
      data: { errno: "EPERM", devices: [DISK] },
      advice: "a group has one context",
    },
    {
      what: "a device that another process has bound, as /proc shows it",
      before: async ({ machine }) => {
        await VfioDevice.open(machine, "vfio0").bind(Iommufd.open(machine).fd);
        const who = { pid: 4711, uid: 107, command: "qemu-system-x86" };
        machine.fileUses.push({ path: "/dev/vfio/devices/vfio0", ...who });
      },
      call: ({ host }) => host.hold(NIC, "default"),
      data: { errno: "EINVAL", processes: [4711] },
      advice: "process 4711 uses it",
    },
    {
      what: "a group that somebody uses the legacy way",
      before: failing("BIND", "EBUSY"),
      call: ({ host }) => host.hold(NIC, "default"),
      data: { errno: "EBUSY" },
      advice: "fuser -v /dev/vfio/1",
    },
    {
      what: "an attach to another IOAS than the sibling's",
      before: async ({ host }) => {
        for (let i = 0; i < 2; i++) host.createIoas("default");
        for (const device of [NIC, DISK]) await host.hold(device, "default");
        await host.attach(DISK, 1);
      },
      call: ({ host }) => host.attach(NIC, 2),
      data: { errno: "EINVAL", devices: [DISK] },
      advice: /attach 0000:00:01.0 there, or detach/,
    },
    {
      what: "an attach during a reset",
      before: async ({ host, kernel }) => {
        host.createIoas("default");
        await host.hold(NIC, "default");
        failNth(kernel, 0, "EBUSY", "ATTACH");
      },
      call: ({ host }) => host.attach(NIC, 1),
      data: { errno: "EBUSY" },
      advice: "try again",
    },
  ],
  DeviceNotReady: [
    {
      what: "a device on a host driver",
      call: ({ host }) => host.hold(GPU, "default"),
      data: { driver: "amdgpu" },
      advice: `driverctl set-override ${GPU} vfio-pci`,
    },
    {
      what: "the probe of a device without a driver",
      topology: { devices: [{ device: NIC, driver: null }] },
      call: ({ host }) => host.probe(NIC),
      data: { driver: null },
      advice: "vfio-pci",
    },
    {
      what: "a device whose node is not there, on a kernel that makes them",
      before: ({ kernel, machine }) => {
        kernel.exists = (path) => path !== "/dev/vfio/devices/vfio0" && machine.exists(path);
      },
      call: ({ host }) => host.hold(NIC, "default"),
      data: { driver: "vfio-pci" },
      advice: "container",
    },
  ],
  DeviceBlocked: [
    {
      what: "a device for which firmware demands a 1:1 mapping",
      topology: { devices: [{ device: NIC, regions: [{ ...HIGH, type: "direct" }] }] },
      call: ({ host }) => host.hold(NIC, "default"),
      data: { errno: "EINVAL", blockers: [{ reason: "direct-mapping" }] },
      advice: "firmware setting",
    },
    {
      what: "a device whose DMA is not coherent, also when a sibling is held in the same context",
      topology: {
        devices: [
          { device: NIC, group: 1, coherent: false },
          { device: DISK, group: 1 },
        ],
      },
      before: ({ host }) => host.hold(DISK, "default"),
      call: ({ host }) => host.hold(NIC, "default"),
      data: { errno: "EINVAL", blockers: [{ reason: "no-coherent-dma" }] },
      advice: "cache-coherent",
    },
    {
      what: "a device whose interrupts are not isolated",
      topology: { devices: [{ device: NIC, "isolated-msi": false }] },
      call: ({ host }) => host.hold(NIC, "default"),
      data: { errno: "EPERM", blockers: [{ reason: "no-isolated-msi" }] },
      advice: "allow_unsafe_interrupts",
    },
    {
      what: "an ATTACH with EINVAL, twice, while no sibling is elsewhere",
      before: async ({ host, kernel }) => {
        host.createIoas("default");
        await host.hold(NIC, "default");
        kernel.before = (call) => {
          if (call === "ATTACH") throw new SystemCallError("EINVAL", call);
        };
      },
      call: ({ host }) => host.attach(NIC, 1),
      data: { errno: "EINVAL", blockers: [{ reason: "unsupported-page-size" }] },
      advice: "a kernel with larger pages",
    },
  ],
  ContextNotFound: [
    {
      what: "a name that no context has",
      call: ({ host }) => host.hold(NIC, "guest"),
      data: { context: "guest" },
      advice: "create-context",
    },
  ],
  IoasNotFound: [
    {
      what: "an id that no IOAS of the context has",
      call: ({ host }) => host.allowRanges("default", 7, setOf(HIGH)),
      data: { context: "default", ioas: 7 },
      advice: "query-ioas",
    },
    {
      what: "the id of another kind of object",
      before: ({ host }) => host.hold(NIC, "default"),
      call: ({ host }) => host.attach(NIC, host.context("default").isOpen ? 1 : 0),
      data: { ioas: 1 },
      advice: "query-ioas",
    },
  ],
  IoasBusy: [
    {
      what: "an IOAS with a device attached",
      before: async ({ host }) => {
        host.createIoas("default");
        await host.hold(NIC, "default");
        await host.attach(NIC, 1);
      },
      call: ({ host }) => host.destroyIoas("default", 1),
      data: { devices: [NIC] },
      advice: "detach them first",
    },
    {
      what: "an IOAS that the kernel says is in use",
      before: ({ host, kernel }) => {
        host.createIoas("default");
        failNth(kernel, 0, "EBUSY", "DESTROY");
      },
      call: ({ host }) => host.destroyIoas("default", 1),
      data: { errno: "EBUSY", devices: [] },
      advice: "try again",
    },
  ],
  RangeConflict: [
    {
      what: "an attach of a device that reserves what the IOAS promises, for which a relaxable region is not to blame",
      topology: {
        devices: [{ device: NIC, group: 1, regions: [MSI, { ...MSI, type: "direct-relaxable" }] }],
      },
      before: async ({ host }) => {
        host.createIoas("default");
        await host.allowRanges("default", 1, setOf({ ...MSI, start: "0xfeef0000", last: "0xff000000" }));
        await host.hold(NIC, "default");
      },
      call: ({ host }) => host.attach(NIC, 1),
      data: {
        errno: "EADDRINUSE",
        conflicts: [
          {
            ...range(0xfeef0000n, 0xfeefffffn),
            causes: [{ device: NIC, group: 1, kind: "region", type: "msi" }],
          },
        ],
      },
      advice: "allow-ranges",
    },
    {
      what: "a list that devices reserve parts of, by region, aperture, or nobody knows why",
      topology: {
        devices: [
          { device: NIC, group: 1, regions: [MSI] },
          { device: DISK, group: 2, iommu: "iommu1" },
        ],
        iommus: [
          { name: "iommu0", aperture: { start: "0x0", last: "0x7fffffffff" } },
          { name: "iommu1", aperture: { start: "0x0", last: "0xffffffff" } },
        ],
      },
      before: async ({ host }) => {
        host.createIoas("default");
        for (const device of [NIC, DISK]) {
          await host.hold(device, "default");
          await host.attach(device, 1);
        }
      },
      call: ({ host }) =>
        host.allowRanges(
          "default",
          1,
          setOf(MSI, HIGH, { ...HIGH, start: "0x8000000000", last: "0x8000000fff" }),
        ),
      data: {
        errno: "EADDRINUSE",
        conflicts: [
          {
            ...range(0xfee00000n, 0xfeefffffn),
            causes: [{ device: NIC, group: 1, kind: "region", type: "msi" }],
          },
          { ...range(0x100000000n, 0x1ffffffffn), causes: [{ kind: "reserved-elsewhere" }] },
          {
            ...range(0x8000000000n, 0x8000000fffn),
            causes: [{ device: NIC, group: 1, kind: "aperture" }],
          },
        ],
      },
      advice: "query-allowed-ranges",
    },
    {
      what: "a list that regions of two devices overlap in: split where the causes change",
      topology: {
        devices: [
          { device: NIC, group: 1, regions: [{ ...HIGH, last: "0x17fffffff" }] },
          { device: DISK, group: 2, regions: [{ ...HIGH, start: "0x140000000" }] },
        ],
      },
      before: async ({ host }) => {
        host.createIoas("default");
        for (const device of [NIC, DISK]) {
          await host.hold(device, "default");
          await host.attach(device, 1);
        }
      },
      call: ({ host }) => host.allowRanges("default", 1, setOf(HIGH)),
      data: {
        errno: "EADDRINUSE",
        conflicts: [
          {
            ...range(0x100000000n, 0x13fffffffn),
            causes: [{ device: NIC, group: 1, kind: "region", type: "reserved" }],
          },
          {
            ...range(0x140000000n, 0x17fffffffn),
            causes: [
              { device: NIC, group: 1, kind: "region", type: "reserved" },
              { device: DISK, group: 2, kind: "region", type: "reserved" },
            ],
          },
          {
            ...range(0x180000000n, 0x1ffffffffn),
            causes: [{ device: DISK, group: 2, kind: "region", type: "reserved" }],
          },
        ],
      },
      advice: "query-allowed-ranges",
    },
  ],
  NotSupported: [
    {
      what: "a host without iommufd",
      topology: { ...TWO, kernel: { iommufd: false } },
      call: ({ host }) => host.createIoas("default"),
      data: { missing: "/dev/iommu", errno: "ENOENT" },
      advice: "modprobe iommufd",
    },
    {
      what: "an iommufd whose module does not load",
      before: failing("open /dev/iommu", "ENODEV"),
      call: ({ host }) => host.probe(NIC),
      data: { missing: "/dev/iommu", errno: "ENODEV" },
      advice: "modprobe iommufd",
    },
    {
      what: "a kernel without VFIO cdevs, for a hold",
      ...WITHOUT_CDEVS,
      call: ({ host }) => host.hold(NIC, "default"),
    },
    {
      what: "a kernel without VFIO cdevs, for a hand-over",
      ...WITHOUT_CDEVS,
      call: ({ host }) => host.handOverDevice(NIC, "default", () => ({ isUnderWay: false })),
    },
    {
      what: "a kernel without VFIO cdevs, and without containers to probe with",
      ...WITHOUT_CDEVS,
      before: ({ kernel, machine }) => {
        kernel.exists = (path) => path !== "/dev/vfio/vfio" && machine.exists(path);
      },
      call: ({ host }) => host.probe(NIC),
    },
  ],
  LimitExceeded: [
    {
      what: "one context more than allowed",
      options: { limits: { ...DEFAULT_LIMITS, "max-contexts": 2 } },
      before: ({ host }) => host.createContext("guest", "persistent"),
      call: ({ host }) => host.createContext("other", "persistent"),
      data: { limit: "max-contexts" },
      advice: "destroy one",
    },
    {
      what: "one IOAS more than allowed",
      options: { limits: { ...DEFAULT_LIMITS, "max-ioases-per-context": 1 } },
      before: ({ host }) => host.createIoas("default"),
      call: ({ host }) => host.createIoas("default"),
      data: { limit: "max-ioases-per-context" },
      advice: "destroy one",
    },
  ],
  AlreadyExists: [
    {
      what: "a name that a context has",
      call: ({ host }) => host.createContext("default", "connection"),
      data: { context: "default" },
      advice: "choose another name",
    },
  ],
  KernelError: [
    {
      what: "an ATTACH with ENOENT to an IOAS that the model knows",
      before: async ({ host, kernel }) => {
        host.createIoas("default");
        await host.hold(NIC, "default");
        failNth(kernel, 0, "ENOENT", "ATTACH");
      },
      call: ({ host }) => host.attach(NIC, 1),
      data: { errno: "ENOENT", operation: "VFIO_DEVICE_ATTACH_IOMMUFD_PT" },
      advice: "dmesg",
    },
    ...(
      [
        ["BIND", "ENOMEM", "VFIO_DEVICE_BIND_IOMMUFD"],
        ["open /dev/vfio/devices/vfio0", "EMFILE", "open /dev/vfio/devices/vfio0"],
        ["open /dev/iommu", "EACCES", "open /dev/iommu"],
      ] as const
    ).map(([call, errno, operation]) => ({
      what: `${call} with ${errno}`,
      before: failing(call, errno),
      call: ({ host }: Simulation) => host.hold(NIC, "default"),
      data: { errno, operation },
      advice: "dmesg",
    })),
    ...(
      [
        ["IOAS_ALLOC", "IOMMU_IOAS_ALLOC", ({ host }) => host.createIoas("default")],
        ["DESTROY", "IOMMU_DESTROY", ({ host }) => host.destroyIoas("default", 1)],
        ["ALLOW_IOVAS", "IOMMU_IOAS_ALLOW_IOVAS", ({ host }) => host.allowRanges("default", 1, setOf(HIGH))],
        ["IOVA_RANGES", "IOMMU_IOAS_IOVA_RANGES", (simulation) => simulation.allowed("default", 1)],
      ] as [string, string, Situation["call"]][]
    ).map(([name, operation, call]) => ({
      what: `${name} with ENOMEM`,
      before: ({ host, kernel }: Simulation) => {
        host.createIoas("default");
        failNth(kernel, 0, "ENOMEM", name);
      },
      call,
      data: { errno: "ENOMEM", operation },
      advice: "dmesg",
    })),
    {
      what: "a set of ranges that grows faster than it can be read",
      before: ({ host, kernel }) => {
        host.createIoas("default");
        kernel.before = (call) => {
          throw new SystemCallError("EMSGSIZE", call);
        };
      },
      call: (simulation) => simulation.allowed("default", 1),
      data: { errno: "EMSGSIZE" },
      advice: "dmesg",
    },
  ],
  NotHeld: (["release", "detach"] as const).map((method) => ({
    what: `the ${method} of a device that is not held`,
    call: ({ host }) => host[method](NIC),
    data: { device: NIC },
    advice: "hold-device",
  })),
};

describe.each(Object.entries(SITUATIONS))("%s is the answer to", (errorClass, situations) => {
  it.each(situations)("$what", async ({ topology = TWO, options = {}, before, call, data = {}, advice }) => {
    const simulation = new Simulation(topology, options);
    await before?.(simulation);
    const error = await refusal(() => call(simulation));
    expect(error.errorClass).toBe(errorClass);
    expect(error.data).toMatchObject(data);
    expect(error.message).toMatch(advice);
  });
});
