import type { Device } from "./device.ts";
import { directory, directoryOf, file, link, type Node, withFiles } from "./file-tree.ts";
import type { Machine } from "./machine.ts";
import { reservedRegionsText } from "./resv-regions.ts";
import type { TopologyIommu } from "./topology.ts";
import type { VfioDevice } from "./vfio-device.ts";

/** The major number of "vfio-dev", and the minor one of iommufd among "misc"; Linux takes what is free. */
const VFIO_MAJOR = 511;
const IOMMU_MINOR = 126;
/** The major number of "vfio", the groups, and `include/linux/miscdevice.h: VFIO_MINOR`. */
const GROUP_MAJOR = 510;
const CONTAINER_MINOR = 196;
const numberOf = ({ number }: VfioDevice) => `${VFIO_MAJOR}:${number}`;

/** What of /dev, /proc and /sys Linux 6.12 shows of the machine, as far as devices, drivers and IOMMUs go. */
export function fileSystemOf(machine: Machine) {
  const devices = [...machine.devices.values()];
  const iommus = new Map(devices.flatMap(({ iommu }) => (iommu ? [[iommu.name, iommu] as const] : [])));
  const on = (bus: string) => devices.filter((device) => busOf(device) === bus);
  const parents = new Set(devices.map(parentOf));
  const under = (parent: string) => devices.filter((device) => parentOf(device) === parent);

  const own = directory({
    dev: live(() => devNodes(machine)),
    proc: directory({ devices: file(() => characterDevices(machine)) }),
    sys: directory({
      bus: directory({ pci: bus(on("pci")), platform: bus(on("platform")) }),
      devices: directory({
        ...Object.fromEntries(
          [...parents].map((parent) => [
            parent,
            directoryOf(byName(under(parent)), (device) => deviceDirectory(machine, device)),
          ]),
        ),
        virtual: directory({ iommu: directoryOf(iommus, iommuDirectory) }),
      }),
      kernel: directory({
        iommu_groups: directoryOf(
          new Map([...machine.groups].map(([id, group]) => [String(id), group])),
          (group) =>
            directory({
              devices: directoryOf(byName(group.devices), (device) =>
                link(`../../../../devices/${parentOf(device)}/${device.name}`),
              ),
              reserved_regions: file(() =>
                reservedRegionsText(
                  group.devices.map(({ regions }) => regions),
                  {
                    pageSize: machine.kernel.pageSize,
                    isFull: group.devices.some(({ isTruncated }) => isTruncated),
                  },
                ),
              ),
            }),
        ),
      }),
    }),
  });
  return withFiles(own, machine.files);
}

/** /dev: devtmpfs has a directory only while something is in it. */
function devNodes({ kernel, hasVfioCdev, vfioDevices, vfioGroups }: Machine) {
  const hasCdevs = hasVfioCdev && vfioDevices.size > 0;
  const fixed = directory({
    vfio: { kind: "device", number: `10:${CONTAINER_MINOR}` },
    devices: hasCdevs
      ? directoryOf(vfioDevices, (each) => ({ kind: "device", number: numberOf(each) }))
      : undefined,
  });
  const groups = directoryOf(vfioGroups, (_, name) => ({ kind: "device", number: `${GROUP_MAJOR}:${name}` }));
  return directory({
    iommu: kernel.iommufd ? { kind: "device", number: `10:${IOMMU_MINOR}` } : undefined,
    vfio: {
      kind: "directory",
      names: () => [...fixed.names(), ...groups.names()],
      child: (name) => fixed.child(name) ?? groups.child(name),
    },
  });
}

/** /proc/devices: "vfio-dev" is there from the time the vfio module is, with or without devices. */
function characterDevices({ hasVfioCdev }: Machine): string {
  const lines = [
    "  1 mem",
    " 10 misc",
    `${GROUP_MAJOR} vfio`,
    ...(hasVfioCdev ? [`${VFIO_MAJOR} vfio-dev`] : []),
  ];
  return `Character devices:\n${lines.join("\n")}\n\nBlock devices:\n`;
}

/** /sys/bus/NAME: devices, and the drivers that have any. */
function bus(members: readonly Device[]): Node {
  const drivers = () => new Map(members.flatMap(({ driver }) => (driver ? [[driver, driver] as const] : [])));
  return directory({
    devices: directoryOf(byName(members), (device) =>
      link(`../../../devices/${parentOf(device)}/${device.name}`),
    ),
    drivers: live(() =>
      directoryOf(drivers(), (driver) =>
        directoryOf(byName(members.filter((device) => device.driver === driver)), (device) =>
          link(`../../../../devices/${parentOf(device)}/${device.name}`),
        ),
      ),
    ),
  });
}

/** Whether a driver has the device enabled; vfio-pci has while somebody has it bound (vfio_pci_core_enable). */
function isEnabled({ driver, vfio }: Device): boolean {
  return vfio === null ? driver !== null : vfio.isBound;
}

/** /sys/devices/…/NAME. Without CONFIG_VFIO_DEVICE_CDEV a VFIO device has its directory, too, but no number. */
function deviceDirectory({ hasVfioCdev }: Machine, device: Device): Node {
  const { driver, group, iommu, vfio } = device;
  const vfioDirectory = (each: VfioDevice) =>
    directory({ dev: hasVfioCdev ? file(() => `${numberOf(each)}\n`) : undefined });
  const line = (text: string | undefined) => (text === undefined ? undefined : file(() => `${text}\n`));
  return directory({
    vendor: line(device.pci?.vendor),
    device: line(device.pci?.device),
    class: line(device.pci?.class),
    subsystem_vendor: line(device.pci?.subsystemVendor),
    subsystem_device: line(device.pci?.subsystemDevice),
    numa_node: line(device.numaNode === null ? undefined : String(device.numaNode)),
    enable: device.isPci ? file(() => `${Number(isEnabled(device))}\n`) : undefined,
    driver: driver === null ? undefined : link(`../../../bus/${busOf(device)}/drivers/${driver}`),
    iommu: iommu === null ? undefined : link(`../../virtual/iommu/${iommu.name}`),
    iommu_group: group === null ? undefined : link(`../../../kernel/iommu_groups/${group.id}`),
    "vfio-dev": vfio === null ? undefined : directoryOf(new Map([[vfio.name, vfio]]), vfioDirectory),
  });
}

/**
 * /sys/devices/virtual/iommu/NAME. VT-d and AMD's IOMMU, known by their names, show of their registers what the
 * aperture follows from; nothing, when such an IOMMU cannot have that aperture.
 */
function iommuDirectory({ name, aperture }: TopologyIommu): Node {
  const bits = aperture.last.toString(2).length;
  const isWhole = aperture.start === 0n && aperture.last === (1n << BigInt(bits)) - 1n;
  const register = (value: number) => file(() => `${value.toString(16)}\n`);
  if (/^dmar\d+$/.test(name) && isWhole && bits <= 57) {
    // MGAW, the width less one, and SAGAW, a bit for each number of levels up to those that make the width
    // (`drivers/iommu/intel/iommu.h: cap_mgaw`, `cap_sagaw`).
    const levels = [0, 39, 48].filter((narrower) => narrower < bits);
    const sagaw = (2 << levels.length) - 2;
    return directory({
      "intel-iommu": directory({ cap: register(((bits - 1) << 16) | (sagaw << 8)), ecap: register(0) }),
    });
  }
  const hats = [48, 57, 64].indexOf(bits);
  if (/^ivhd\d+$/.test(name) && isWhole && hats !== -1) {
    return directory({
      "amd-iommu": directory({ features: file(() => `${(hats << 10).toString(16)}:0\n`) }),
    });
  }
  return directory({});
}

const busOf = ({ isPci }: Device) => (isPci ? "pci" : "platform");
const parentOf = ({ isPci, name }: Device) =>
  isPci ? `pci${name.slice(0, name.lastIndexOf(":"))}` : "platform";
const byName = (devices: readonly Device[]) => new Map(devices.map((device) => [device.name, device]));

/** A directory whose entries come and go. */
function live(current: () => ReturnType<typeof directory>): Node {
  return { kind: "directory", names: () => current().names(), child: (name) => current().child(name) };
}
