/** Six hosts of different makers; what differs is what real ones differ in. */

type Bound = readonly [start: string, last: string, type: string];

/** Where x86 machines have their MSI window, and Arm's SMMU driver puts its own. */
const MSI_X86: Bound = ["0xfee00000", "0xfeefffff", "msi"];
const MSI_SMMU: Bound = ["0x8000000", "0x80fffff", "msi"];
/** AMD's HyperTransport hole below 1 TiB. */
const HYPERTRANSPORT: Bound = ["0xfd00000000", "0xffffffffff", "reserved"];

const GPU = { vendor: "0x10de", device: "0x20b5", class: "0x030200" };
const NIC = { vendor: "0x15b3", device: "0x101e", class: "0x020000" };

/** Topology files, by the host's name. */
export const FLEET_HOSTS: Readonly<Record<string, object>> = {
  "intel-1": host("dmar0", "0xffffffffffff", [MSI_X86], [GPU, GPU, NIC]),
  "intel-2": host("dmar0", "0xffffffffffff", [MSI_X86], [GPU, GPU, NIC]),
  "intel-old": host("dmar0", "0x7fffffffff", [MSI_X86], [GPU, NIC]),
  "amd-1": host("ivhd0", "0xffffffffffffffff", [MSI_X86, HYPERTRANSPORT], [GPU, GPU, NIC]),
  "amd-2": host("ivhd0", "0xffffffffffffffff", [MSI_X86, HYPERTRANSPORT], [GPU, GPU, NIC]),
  arm: host("smmu3", "0xffffffffffff", [MSI_SMMU], [GPU, GPU]),
};

function host(iommu: string, last: string, bounds: readonly Bound[], devices: readonly object[]): object {
  const regions = bounds.map(([start, last, type]) => ({ start, last, type }));
  return {
    iommus: [{ name: iommu, aperture: { start: "0x0", last } }],
    devices: devices.map((pci, i) => ({
      ...{ device: `0000:${(0x41 + 0x20 * i).toString(16)}:00.0`, iommu, group: 20 + i },
      ...{ driver: "vfio-pci", pci, regions },
    })),
  };
}
