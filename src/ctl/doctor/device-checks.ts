import type { Result } from "../../client/index.ts";
import { counted } from "../counted.ts";
import { blockerText } from "../worth.ts";
import { type Finding, failure, ok, warning } from "./finding.ts";
import { type HostDevice, holdersOf } from "./host-devices.ts";
import type { HostFiles } from "./host-files.ts";

type Device = Result<"query-devices">["devices"][number];

/** Drivers that give devices to user space. */
const VFIO_DRIVER = /^vfio|-vfio-pci$|^mlx5_vfio_pci$|^hisi_acc_vfio_pci$/;
/** Drivers outside VFIO that leave DMA to others: those with `driver_managed_dma` in the kernel's source. */
const DMA_FREE = new Set(["pci-stub", "pcieport"]);

/** One device, from what the daemon tells of it. */
export function checkKnownDevice(device: Device, siblings: readonly Device[]): Finding[] {
  const { blockers, users = [] } = device;
  const others = siblings.filter((each) => each.device !== device.device);
  const holders = users.map(({ pid, uid, command }) => `${command} (pid ${pid}, uid ${uid})`);
  return [
    ok("device", "driver", `${device.device} is on ${device.driver ?? "no driver"}, ${device.state}`),
    ok(
      "device",
      "group",
      groupText(
        device.group,
        others.map(({ device, driver }) => `${device} (${driver ?? "no driver"})`),
      ),
    ),
    ...(holders.length > 0
      ? [
          warning(
            "device",
            "holders",
            `open in ${holders.join(", ")}`,
            "end that process, or let it give the device back",
          ),
        ]
      : []),
    ...blockers.map((blocker) => {
      const { reason, transient } = blocker;
      const evidence = `${device.device}: ${blockerText(blocker)}`;
      return transient
        ? warning("device", reason, evidence, "it passes when the device is given back")
        : failure("device", reason, evidence, remedyOf(reason));
    }),
    ...(device.available ? [ok("device", "available", "a guest can have it now")] : []),
  ];
}

/** In a few words: the daemon's detail says more. */
function remedyOf(reason: string): string {
  const remedies: Readonly<Record<string, string>> = {
    "direct-mapping": "a setting of the firmware, or another device",
    "no-vfio-driver": "bind it to vfio-pci (driverctl set-override DEVICE vfio-pci)",
    "group-sibling": "bind the siblings to vfio-pci as well, or unbind them",
    "no-cdev": "a kernel of 6.6 or later with CONFIG_VFIO_DEVICE_CDEV",
    "no-iommu": "enable the IOMMU, and bind the device anew",
    "no-isolated-msi": "enable interrupt remapping in the firmware's setup",
    "no-coherent-dma": "another slot or device: this one's DMA does not snoop",
    "unsupported-page-size": "a kernel whose pages are no larger than the IOMMU's",
  };
  return remedies[reason] ?? "see the evidence";
}

/** All devices, from what the daemon tells of them. */
export function checkKnownDevices(devices: readonly Device[]): Finding[] {
  if (devices.length === 0)
    return [failure("device", "devices", "no device has an IOMMU group", "see the IOMMU above")];
  const ready = devices.filter(({ available }) => available).length;
  const busy = devices.filter(({ available, assignable }) => assignable && !available).length;
  const evidence = `${counted(devices.length, "device")}: ${ready} free for a guest, ${busy} busy, ${devices.length - ready - busy} blocked`;
  return [
    ready + busy > 0
      ? ok("device", "devices", evidence)
      : warning(
          "device",
          "devices",
          evidence,
          "iovactl devices tells what blocks them, doctor DEVICE what to do",
        ),
  ];
}

/** One device, from sysfs alone. */
export function checkHostDevice(name: string, devices: readonly HostDevice[], files: HostFiles): Finding[] {
  const device = devices.find((each) => each.device === name);
  if (!device) {
    const evidence = files.exists(`/sys/bus/pci/devices/${name}`)
      ? `${name} has no IOMMU group`
      : `there is no ${name}`;
    return [
      failure("device", "device", evidence, "lspci -D lists the devices; a group takes an IOMMU that is on"),
    ];
  }
  const siblings = devices.filter((each) => each.group === device.group && each !== device);
  const inTheWay = siblings.filter(
    ({ driver }) => driver !== undefined && !VFIO_DRIVER.test(driver) && !DMA_FREE.has(driver),
  );
  const text = groupText(
    device.group,
    siblings.map(({ device, driver }) => `${device} (${driver ?? "no driver"})`),
  );
  return [
    device.driver !== undefined && VFIO_DRIVER.test(device.driver)
      ? ok("device", "driver", `${name} is on ${device.driver}`)
      : failure(
          "device",
          "driver",
          `${name} is on ${device.driver ?? "no driver"}`,
          `driverctl set-override ${name} vfio-pci`,
        ),
    inTheWay.length === 0
      ? ok("device", "group", text)
      : failure(
          "device",
          "group",
          text,
          `bind to vfio-pci as well, or unbind: ${inTheWay.map(({ device }) => device).join(", ")}`,
        ),
    ...checkNode(device, files),
  ];
}

function checkNode({ node, group }: HostDevice, files: HostFiles): Finding[] {
  const paths = [`/dev/vfio/${group}`, ...(node === undefined ? [] : [`/dev/vfio/devices/${node}`])];
  const there = paths.filter((path) => files.exists(path));
  const holders = holdersOf(files, paths);
  return [
    ...there.map((path) => ok("device", "node", `${path}: ${files.permissions(path) ?? "not to be seen"}`)),
    holders.length === 0
      ? ok("device", "holders", "nobody that this user can see has it open")
      : warning(
          "device",
          "holders",
          `open in ${holders.join(", ")}`,
          "end that process, or let it give the device back",
        ),
  ];
}

function groupText(group: number, siblings: readonly string[]): string {
  return siblings.length === 0 ? `alone in group ${group}` : `in group ${group} with ${siblings.join(", ")}`;
}
