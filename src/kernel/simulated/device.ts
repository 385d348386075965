import type { IommuGroup } from "./group.ts";
import type { Latency, TopologyDevice, TopologyIommu, TopologyPci, TopologyRegion } from "./topology.ts";
import type { VfioDevice } from "./vfio-device.ts";

/** A device of the simulated host. */
export class Device {
  readonly name: string;
  /** Null, like `group`, without an IOMMU. */
  readonly iommu: TopologyIommu | null;
  readonly group: IommuGroup | null;
  readonly regions: readonly TopologyRegion[];
  readonly isTruncated: boolean;
  readonly coherent: boolean;
  readonly isolatedMsi: boolean;
  readonly latency: Latency;
  readonly pci: TopologyPci | null;
  readonly numaNode: number | null;
  driver: string | null = null;
  /** There while a VFIO driver is bound. */
  vfio: VfioDevice | null = null;

  constructor(from: TopologyDevice, iommu: TopologyIommu | null, group: IommuGroup | null) {
    this.name = from.device;
    this.iommu = iommu;
    this.group = group;
    this.regions = from.regions;
    this.isTruncated = from.isTruncated;
    this.coherent = from.coherent;
    this.isolatedMsi = from.isolatedMsi;
    this.latency = from.latency;
    this.pci = from.pci;
    this.numaNode = from.numaNode;
    group?.devices.push(this);
  }

  leaveGroup(): void {
    this.group?.devices.splice(this.group.devices.indexOf(this), 1);
  }

  /** Whether it is a PCI device; else it is a platform device. */
  get isPci(): boolean {
    return /^[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/.test(this.name);
  }
}
