import type { Kernel } from "../../src/kernel/kernel.ts";
import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology.ts";

/** The two devices, of a group each, that the lab's guest binds to vfio-pci, behind one 39-bit VT-d. */
export const DEVICES = ["0000:00:05.0", "0000:00:06.0"] as const;
/** The three functions of its ISA bridge: one group, and the first has a direct-relaxable region. */
export const SIBLINGS = ["0000:00:1f.0", "0000:00:1f.2", "0000:00:1f.3"] as const;

const MSI = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
const ISA = { start: "0x0", last: "0xffffff", type: "direct-relaxable" };

/** The lab's guest as a topology. */
export const LAB = {
  iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" }, "page-size": 4096 }],
  devices: [
    { device: "0000:00:00.0", iommu: "dmar0", group: 0, regions: [MSI] },
    { device: DEVICES[0], iommu: "dmar0", group: 2, driver: "vfio-pci", regions: [MSI] },
    { device: DEVICES[1], iommu: "dmar0", group: 3, driver: "vfio-pci", regions: [MSI] },
    { device: SIBLINGS[0], iommu: "dmar0", group: 4, driver: "vfio-pci", regions: [ISA, MSI] },
    { device: SIBLINGS[1], iommu: "dmar0", group: 4, driver: "vfio-pci", regions: [MSI] },
    { device: SIBLINGS[2], iommu: "dmar0", group: 4, driver: "vfio-pci", regions: [MSI] },
  ],
};

/**
 * The kernel that the conformance suite holds to one behaviour: Linux in the lab's guest (IOVAD_KERNEL=linux), else
 * the simulated one. `devices` are the paths of DEVICES' cdevs.
 */
export async function kernelUnderTest(): Promise<{ kernel: Kernel; devices: [string, string] }> {
  const kernel = await newKernel();
  return { kernel, devices: [cdevOf(kernel, DEVICES[0]), cdevOf(kernel, DEVICES[1])] };
}

/** The path of a device's cdev. */
export function cdevOf(kernel: Kernel, device: string): string {
  const [name] = kernel.readDirectory(`/sys/bus/pci/devices/${device}/vfio-dev`);
  return `/dev/vfio/devices/${name}`;
}

async function newKernel(): Promise<Kernel> {
  if (process.env.IOVAD_KERNEL !== "linux") return new SimulatedKernel(parseTopology(LAB));
  // Built code: its threads run compiled files. The path in a variable keeps tsc from asking for the build.
  const built = "../../dist/kernel/linux/linux-kernel.js";
  const { LinuxKernel } = (await import(built)) as { LinuxKernel: new () => Kernel };
  return new LinuxKernel();
}
