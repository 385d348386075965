import { expect, it } from "vitest";
import { MEANINGS, meaningOf, rangeIn } from "../../../src/ctl/doctor/messages.ts";

/** As they stand in logs, and a word of what they mean. */
const MESSAGES: readonly (readonly [message: string, means: string])[] = [
  [
    "vfio-pci 0000:01:00.0: Firmware has requested this device have a 1:1 IOMMU mapping, rejecting configuring the device without a 1:1 mapping. Contact your platform vendor.",
    "firmware claims memory",
  ],
  [
    "vfio-pci 0000:03:00.0: Device is ineligible for IOMMU domain attach due to platform RMRR requirement.  Contact your platform vendor.",
    "RMRR",
  ],
  [
    "vfio 0000:01:00.0: failed to setup container for group 13: Failed to set group container: Invalid argument",
    "group could not be put behind an IOMMU",
  ],
  [
    "qemu-system-x86_64: -device vfio-pci,host=0000:41:10.1: vfio_dma_map(0x55ba53e7a9d0, 0x100000000, 0xff30000000, 0x7ed243e00000) = -22 (Invalid argument)",
    "memory at addresses",
  ],
  [
    "qemu-system-x86_64: vfio_container_dma_map(0x5581, 0xfd00000000, 0x80000000, 0x7f42) = -22 (Invalid argument)",
    "memory at addresses",
  ],
  [
    "qemu-system-x86_64: vfio_container_dma_map(0x5581, 0x0, 0x80000000, 0x7f42) = -12 (Cannot allocate memory)",
    "locked memory",
  ],
  [
    "vfio_container_dma_map(0x5581, 0x1000, 0x2000, 0x7f) = -28 (No space left on device)",
    "as many mappings",
  ],
  ["vfio_container_dma_map(0x5581, 0x1000, 0x2000, 0x7f) = -14 (Bad address)", "cannot be pinned"],
  [
    "qemu-system-aarch64: Container 0xaaab can't map guest IOVA region 0x8000000000..0x80ffffffff",
    "reaches nothing",
  ],
  [
    "IOVA range 0xfee00000-0xfeefffff conflicts with the reserved region of 0000:41:00.0",
    "reserves addresses",
  ],
  [
    "qemu-system-x86_64: Address space limit 0xffffffffff < 0x2087fffffff phys-bits too low (40)",
    "physical address bits",
  ],
  ["vfio_pin_pages_remote: RLIMIT_MEMLOCK (65536) exceeded", "locked memory"],
  [
    'vfio_iommu_type1_attach_group: No interrupt remapping support.  Use the module param "allow_unsafe_interrupts" to enable VFIO IOMMU support on this platform',
    "interrupt remapping",
  ],
  ["vfio 0000:05:00.0: group 5 is not viable", "driver of the host"],
  ["vfio 0000:05:00.0: no iommu_group found: No such file or directory", "no IOMMU group"],
  ["vfio 0000:05:00.0: error bind device fd=23 to iommufd=22: Invalid argument", "bound already"],
  ["vfio 0000:05:00.0: group 5 used in multiple address spaces", "different IOMMUs of the guest"],
  ["-object iommufd,id=iommufd0: could not open '/dev/iommu': No such file or directory", "no iommufd"],
  ["vfio 0000:05:00.0: failed to open /dev/vfio/5: Permission denied", "may not open"],
  [
    "DMAR: [DMA Read NO_PASID] Request device [83:00.0] fault addr 0xbdf6e000 [fault reason 0x06] PTE Read access is not set",
    "nothing is mapped",
  ],
  [
    "arm-smmu-v3 arm-smmu-v3.0.auto: event: F_TRANSLATION client: 0000:01:00.0 sid: 0x100 ssid: 0x0 iova: 0x8000000 ipa: 0x0",
    "nothing is mapped",
  ],
  ["attach-device: Address already in use", "refuses an attach"],
  ["vfio 0000:05:00.0: failed to open /dev/vfio/5: Device or resource busy", "has the device"],
  ["-EINVAL", "EINVAL"],
  ["-22", "EINVAL"],
];

it.each(MESSAGES)("knows what %s means", (message, means) => {
  expect(meaningOf(message)?.meaning.means).toContain(means);
});

it("knows every message by an example, and each meaning says what to do and where it is from", () => {
  const seen = new Set(MESSAGES.map(([message]) => meaningOf(message)?.meaning));
  expect(MEANINGS.filter((meaning) => !seen.has(meaning)).map(({ pattern }) => pattern)).toEqual([]);
  for (const { remedy, source } of MEANINGS)
    expect([remedy.length, source.length].every((length) => length > 8)).toBe(true);
});

it("does not know what means nothing", () => {
  expect(meaningOf("Hello, world")).toBeUndefined();
});

it.each([
  [
    "vfio_dma_map(0x55, 0x100000000, 0xff30000000, 0x7e) = -22 (Invalid argument)",
    { start: "0x100000000", last: "0x1002fffffff" },
  ],
  [
    "Container 0xa can't map guest IOVA region 0x8000000000..0x80ffffffff",
    { start: "0x8000000000", last: "0x80ffffffff" },
  ],
  ["vfio_dma_map(0x55, 0x0, 0x0, 0x7e) = -22 (Invalid argument)", undefined],
  ["-22", undefined],
])("finds the addresses in %s", (message, range) => {
  expect(rangeIn(message)).toEqual(range);
});
