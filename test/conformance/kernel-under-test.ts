import type { Kernel } from "../../src/kernel/kernel.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { currentPlatform } from "./platforms.ts";

/** The two devices, of a group each, that the lab's guest binds to vfio-pci, behind one IOMMU. */
export const DEVICES = ["0000:00:05.0", "0000:00:06.0"] as const;
/** The three functions of its ISA bridge: one group; under VT-d, the first has a direct-relaxable region. */
export const SIBLINGS = ["0000:00:1f.0", "0000:00:1f.2", "0000:00:1f.3"] as const;

const platform = currentPlatform();
const { iommu } = platform;
const regions = platform.regions.map(regionOf);
const driver = "vfio-pci";

/** The lab's guest as a topology. */
export const LAB = {
  kernel: { "page-size": platform.pageSize },
  iommus: [
    {
      name: iommu,
      aperture: { start: "0x0", last: hex(platform.apertureLast) },
      "page-size": platform.pageSize,
      "late-aperture": platform.allowedAfterReplace !== undefined,
    },
  ],
  devices: [
    { device: "0000:00:00.0", iommu, group: 0, regions },
    { device: DEVICES[0], iommu, group: 2, driver, regions },
    { device: DEVICES[1], iommu, group: 3, driver, regions },
    {
      device: SIBLINGS[0],
      iommu,
      group: 4,
      driver,
      regions: [...platform.bridgeRegions.map(regionOf), ...regions],
    },
    { device: SIBLINGS[1], iommu, group: 4, driver, regions },
    { device: SIBLINGS[2], iommu, group: 4, driver, regions },
  ],
};

function regionOf(line: string) {
  const [start, last, type] = line.split(" ");
  return { start, last, type };
}

function hex(address: bigint): string {
  return `0x${address.toString(16)}`;
}

/**
 * The kernel that the conformance suite holds to one behaviour: Linux in the lab's guest (IOVAD_KERNEL=linux), else
 * the simulated one of a topology. `devices` are the paths of DEVICES' cdevs.
 */
export async function kernelUnderTest(
  topology: object = LAB,
): Promise<{ kernel: Kernel; devices: [string, string] }> {
  const kernel = await newKernel(topology);
  return { kernel, devices: [cdevOf(kernel, DEVICES[0]), cdevOf(kernel, DEVICES[1])] };
}

/** The path of a device's cdev. */
export function cdevOf(kernel: Kernel, device: string): string {
  const [name] = kernel.readDirectory(`/sys/bus/pci/devices/${device}/vfio-dev`);
  return `/dev/vfio/devices/${name}`;
}

async function newKernel(topology: object): Promise<Kernel> {
  if (process.env.IOVAD_KERNEL !== "linux") return new SimulatedKernel(parseTopology(topology));
  // Built code: its threads run compiled files. The path in a variable keeps tsc from asking for the build.
  const built = "../../dist/kernel/linux/linux-kernel.js";
  const { LinuxKernel } = (await import(built)) as { LinuxKernel: new () => Kernel };
  return new LinuxKernel();
}
