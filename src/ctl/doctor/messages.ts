/** A message that people search for, and what it means. */
export interface Meaning {
  readonly pattern: RegExp;
  readonly means: string;
  readonly remedy: string;
  /** Where it is written. */
  readonly source: string;
  /** Where in the message the addresses stand that something forbids: start, and length or last. */
  readonly range?: { readonly start: number; readonly length?: number; readonly last?: number };
}

/** QEMU's call that maps guest memory: with what, the address, the size. */
const DMA_MAP =
  /(?:vfio_(?:container_)?dma_map|vfio_dma_map|iommufd_backend_map_dma)\((?:0x)?[0-9a-f]+, (0x[0-9a-f]+), (0x[0-9a-f]+)/i;

/** The same, and why it has failed: one of these. */
function mapFailure(reasons: string): RegExp {
  return new RegExp(`${DMA_MAP.source}.*(?:${reasons})`, "i");
}

/** The more exact ones first: of several that match, the first tells. */
export const MEANINGS: readonly Meaning[] = [
  {
    pattern: /have a 1:1 IOMMU mapping/i,
    means:
      "firmware claims memory that this device must always reach (RMRR, IVMD, IORT RMR), so the kernel gives no device of its group to a guest; QEMU shows no more than -22, Invalid argument",
    remedy:
      "iovactl doctor DEVICE says whether it is the board or this device, and who shares the claim; look for a setting of the firmware that drops it",
    source: "Linux: drivers/iommu/iommu.c, __iommu_device_set_domain",
  },
  {
    pattern: /ineligible for IOMMU domain attach due to platform RMRR/i,
    means: "firmware claims memory that this device must always reach (RMRR): no guest can have it",
    remedy:
      "iovactl doctor DEVICE names the claim and who shares it; look for a setting of the firmware that drops it",
    source: "Linux before 6.6: drivers/iommu/intel/iommu.c",
  },
  {
    pattern: mapFailure("-12|Cannot allocate memory"),
    means:
      "the guest's memory could not be pinned: the limit of locked memory is too low, or memory is short",
    remedy:
      "raise the limit to the guest's RAM (ulimit -l, LimitMEMLOCK=, memtune hard_limit); with type1 once per container; iovactl doctor -m SIZE compares",
    source: "QEMU: hw/vfio/listener.c (older: common.c), vfio_listener_region_add",
  },
  {
    pattern: mapFailure("-28|No space left"),
    means: "the container has as many mappings as it may: each piece of the guest's memory is one",
    remedy:
      "raise dma_entry_limit of the module vfio_iommu_type1 (65535 by default), or give the guest fewer and larger pieces; with iommufd there is no such limit",
    source: "Linux: drivers/vfio/vfio_iommu_type1.c, vfio_dma_do_map; QEMU: hw/vfio/listener.c",
  },
  {
    pattern: mapFailure("-14|Bad address"),
    means:
      "what lies there cannot be pinned: another device's BAR, as a rule, which only peer-to-peer DMA would need",
    remedy: "QEMU goes on without it; only devices that talk to each other directly miss it",
    source: "Linux: mm/gup.c, check_vma_flags; QEMU: hw/vfio/listener.c, vfio_listener_region_add",
  },
  {
    pattern: DMA_MAP,
    means:
      "the guest has memory at addresses that the IOMMU reserves or does not reach: the second number is the address, the third the size",
    remedy:
      "iovactl explain 0xADDRESS+0xSIZE DEVICE names what forbids it; iovactl check --machine … -m … DEVICE says what fits instead",
    source: "QEMU: hw/vfio/listener.c (older: common.c), vfio_listener_region_add",
    range: { start: 1, length: 2 },
  },
  {
    pattern: /can't map guest IOVA region\s*(0x[0-9a-f]+)\.\.(0x[0-9a-f]+)/i,
    means: "the guest has memory where the IOMMU reaches nothing, or reserves addresses",
    remedy: "iovactl explain START-LAST DEVICE names what forbids it; iovactl check says what fits instead",
    source:
      "QEMU before 8.2: hw/vfio/common.c, vfio_listener_region_add; since then of POWER alone, hw/vfio/spapr.c",
    range: { start: 1, last: 2 },
  },
  {
    pattern: /IOVA range\D*(0x[0-9a-f]+)\D+(0x[0-9a-f]+).*conflict|IOVA range.*conflict/i,
    means: "a device that is added reserves addresses that are in use, or promised, already",
    remedy:
      "iovactl explain RANGE DEVICE names the region; start the guest with a layout that fits all devices (iovactl check --enforce)",
    source:
      "iovad and other managers, of the kernel's EADDRINUSE: drivers/iommu/iommufd/io_pagetable.c, iopt_reserve_iova",
    range: { start: 1, last: 2 },
  },
  {
    pattern: /phys-bits too low/i,
    means: "the guest's memory and PCI hole need more physical address bits than its CPU has",
    remedy:
      "-cpu host, or phys-bits= with the number that iovactl check --machine q35,phys-bits=40 -m SIZE DEVICE offers; less memory",
    source: "QEMU: hw/i386/pc.c, pc_memory_init",
  },
  {
    pattern:
      /RLIMIT_MEMLOCK|VFIO_MAP_DMA(?: failed)?:? .*(?:Cannot allocate memory|-12)|IOMMU_IOAS_MAP failed: Cannot allocate memory|cannot limit locked memory/i,
    means: "the guest's memory could not be pinned: the limit of locked memory is too low",
    remedy:
      "raise the limit to the guest's RAM (ulimit -l, LimitMEMLOCK=, memtune hard_limit); with type1 once per container",
    source:
      "Linux: drivers/vfio/vfio_iommu_type1.c, vfio_pin_pages_remote; QEMU: hw/vfio/container-legacy.c; libvirt: src/util/virprocess.c",
  },
  {
    pattern: /allow_unsafe_interrupts|No interrupt remapping|MSI interrupts are not secure/i,
    means:
      "the platform cannot keep guests from raising each other's interrupts: interrupt remapping is missing or off (no-isolated-msi)",
    remedy:
      "enable interrupt remapping (VT-d, AMD-Vi) in the firmware's setup, boot without intremap=off; allow_unsafe_interrupts only where every guest is trusted",
    source:
      "Linux: drivers/iommu/iommufd/device.c, iommufd_device_bind; drivers/vfio/vfio_iommu_type1.c, vfio_iommu_type1_attach_group",
  },
  {
    pattern: /group \d+ is not viable|all devices within the iommu_group/i,
    means:
      "another device of the IOMMU group is on a driver of the host, so the group is not the guest's to have",
    remedy: "iovactl doctor DEVICE names it: bind it to vfio-pci as well, or unbind it",
    source: "QEMU: hw/vfio/container-legacy.c (older: container.c, common.c), vfio_group_get",
  },
  {
    pattern: /no iommu_group found/i,
    means: "the device has no IOMMU group: no IOMMU is on, or none is in front of it",
    remedy: "iovactl doctor says why there is no IOMMU",
    source: "QEMU: hw/vfio/container-legacy.c (older: container.c, pci.c), vfio_device_get_groupid",
  },
  {
    pattern: /error bind device fd=\d+ to iommufd/i,
    means: "the device is bound already, by this or another iommufd, or the kernel rules it out",
    remedy:
      "release it first (iovactl release DEVICE): only closing every descriptor unbinds; iovactl devices --users names who has it",
    source: "QEMU: hw/vfio/iommufd.c, iommufd_cdev_connect_and_bind",
  },
  {
    pattern: /used in multiple address spaces/i,
    means: "two devices of one group are behind different IOMMUs of the guest",
    remedy:
      "put the devices of a group on one bus of the guest (a PCIe-to-PCI bridge), or give only one of them",
    source: "QEMU: hw/vfio/container-legacy.c (older: container.c, common.c), vfio_group_get",
  },
  {
    pattern:
      /(?:\/dev\/iommu|iommufd).*(?:No such file|ENOENT|could not open)|(?:could not open|failed to open).*\/dev\/iommu/i,
    means:
      "there is no iommufd: the module is not loaded, the kernel has none, or the container does not see the node",
    remedy: "iovactl doctor says which; modprobe iommufd",
    source: "QEMU: backends/iommufd.c, iommufd_backend_connect",
  },
  {
    pattern: /\/dev\/vfio\S*.*Permission denied|Permission denied.*\/dev\/vfio/i,
    means: "this user may not open the device's node",
    remedy:
      "start QEMU by iovad-run, which is given the descriptors; or let udev give the user's group the node",
    source: "the kernel's EACCES, of open(2)",
  },
  {
    pattern: /failed to setup container/i,
    means:
      "the group could not be put behind an IOMMU; what follows the colon is the kernel's reason: Invalid argument is a firmware claim or memory at reserved addresses, Operation not permitted missing interrupt remapping, Device or resource busy another owner",
    remedy: "iovactl doctor DEVICE, and dmesg of the same second",
    source: "QEMU: hw/vfio/container-legacy.c (older: container.c, common.c), vfio_group_get",
  },
  {
    pattern:
      /DMAR:.*fault addr(?:ess)? (?:0x)?([0-9a-f]+)|AMD-Vi:.*IO_PAGE_FAULT.*address=(0x[0-9a-f]+)|arm-smmu.*(?:event 0x10|F_TRANSLATION)/i,
    means:
      "a device has reached for an address that nothing is mapped at: a driver at fault, or a guest whose layout the device does not keep",
    remedy: "iovactl explain ADDRESS DEVICE tells whether it is reserved",
    source:
      "Linux: drivers/iommu/intel/dmar.c, dmar_fault_do_one; drivers/iommu/amd/iommu.c, amd_iommu_report_page_fault; drivers/iommu/arm/arm-smmu-v3",
  },
  {
    pattern: /Address already in use|EADDRINUSE/i,
    means:
      "the kernel refuses an attach: the device reserves addresses that the IO address space has in use or has promised",
    remedy:
      "attach by iovactl attach: the refusal names the ranges; a layout that fits all devices: iovactl check",
    source: "Linux: drivers/iommu/iommufd/io_pagetable.c, iopt_table_enforce_dev_resv_regions",
  },
  {
    pattern: /Device or resource busy|EBUSY|(?<!\d)-16\b/i,
    means: "somebody has the device, or its group, already",
    remedy: "iovactl devices --users names who; iovactl release DEVICE when it is iovad",
    source: "the kernel's EBUSY: drivers/vfio/group.c; drivers/iommu/iommu.c, iommu_device_claim_dma_owner",
  },
  {
    pattern: /Invalid argument|-EINVAL|(?<!\d)-22\b/i,
    means:
      "EINVAL, of a device that VFIO cannot give out or of memory at addresses that the IOMMU refuses: a firmware claim, the MSI window, AMD's HyperTransport hole below 1 TiB, or more address bits than the IOMMU has",
    remedy:
      "iovactl doctor DEVICE for the device, iovactl check --machine … -m … DEVICE for the memory; with -cpu host, host-phys-bits-limit= the IOMMU's bits",
    source:
      "Linux: drivers/vfio/vfio_iommu_type1.c, vfio_iommu_iova_dma_valid; drivers/iommu/iommufd/io_pagetable.c",
  },
];

/** What a message means; undefined when it is not known. */
export function meaningOf(message: string): { meaning: Meaning; match: RegExpExecArray } | undefined {
  for (const meaning of MEANINGS) {
    const match = meaning.pattern.exec(message);
    if (match) return { meaning, match };
  }
  return undefined;
}

/** The lines of a text whose meaning is known, each once, those with the more exact ones first. */
export function knownLines(text: string): string[] {
  const rank = (line: string) => MEANINGS.findIndex(({ pattern }) => pattern.test(line));
  return [...new Set(text.split("\n").map((line) => line.trim()))]
    .map((line) => ({ line, rank: rank(line) }))
    .filter((each) => each.rank >= 0)
    .sort((one, other) => one.rank - other.rank)
    .map(({ line }) => line);
}

/** The addresses in a message that something forbids; undefined when it has none. */
export function rangeIn(message: string): { start: string; last: string } | undefined {
  const found = meaningOf(message);
  const places = found?.meaning.range;
  if (!found || !places) return undefined;
  const [start, length, last] = [places.start, places.length, places.last].map((at) =>
    at === undefined ? undefined : found.match[at],
  );
  if (start === undefined) return undefined;
  if (last !== undefined) return { start, last };
  if (length === undefined || BigInt(length) === 0n) return undefined;
  return { start, last: `0x${(BigInt(start) + BigInt(length) - 1n).toString(16)}` };
}
