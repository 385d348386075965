import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { ConnectionError } from "../../../src/client/index.ts";
import type { Daemon } from "../../../src/ctl/command.ts";
import { examine } from "../../../src/ctl/doctor/examine.ts";
import { HostFiles } from "../../../src/ctl/doctor/host-files.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "iovad-doctor-"));
  for (const [path, text] of Object.entries(HEALTHY)) write(path, text);
  link("/sys/kernel/iommu_groups/5/devices/0000:01:00.0/driver", "/sys/bus/pci/drivers/vfio-pci");
});
afterEach(() => rmSync(root, { recursive: true }));

/** A host with which nothing is wrong. */
const HEALTHY: Readonly<Record<string, string>> = {
  "/proc/sys/kernel/osrelease": "6.12.0\n",
  "/proc/cmdline": "root=/dev/sda1 intel_iommu=on\n",
  "/proc/self/limits":
    "Limit  Soft  Hard\nMax locked memory         unlimited            unlimited            bytes\n",
  "/dev/iommu": "",
  "/dev/vfio/devices/vfio0": "",
  "/dev/vfio/5": "",
  "/sys/module/vfio_pci/x": "",
  "/sys/module/iommufd/parameters/allow_unsafe_interrupts": "N\n",
  "/sys/class/iommu/dmar0/intel-iommu/cap": "d2008c402f0462\n",
  "/sys/class/iommu/dmar0/intel-iommu/ecap": "f050da\n",
  "/sys/kernel/iommu_groups/5/type": "DMA-FQ\n",
  "/sys/kernel/iommu_groups/5/reserved_regions": "0x00000000fee00000 0x00000000feefffff msi\n",
  "/sys/kernel/iommu_groups/5/devices/0000:01:00.0/vfio-dev/vfio0/x": "",
};

function write(path: string, text: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}

function link(path: string, target: string): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  symlinkSync(target, join(root, path));
}

const NO_DAEMON: Daemon = {
  place: "/nowhere",
  via: undefined,
  isDry: false,
  connect: () => Promise.reject(new ConnectionError("ENOENT", "/nowhere: there is no such socket")),
  connectForGood: () => Promise.reject(new ConnectionError("ENOENT", "/nowhere: there is no such socket")),
};

/** What is not well, without the daemon that there is none of. */
async function complaints(device?: string, { uid = 1000, guest }: { uid?: number; guest?: bigint } = {}) {
  const findings = await examine({ device, guest }, { files: new HostFiles(root), daemon: NO_DAEMON, uid });
  return findings
    .filter(({ state, check }) => state !== "ok" && check !== "socket")
    .map(({ group, check, state, evidence, remedy }) => ({
      group,
      check,
      state,
      text: `${evidence} → ${remedy}`,
    }));
}

it("finds nothing wrong with a host that is well, and with its device", async () => {
  expect(await complaints()).toEqual([]);
  expect(await complaints("01:00.0")).toEqual([]);
});

it("the daemon that is not there is a failure", async () => {
  const findings = await examine(
    { device: undefined, guest: undefined },
    { files: new HostFiles(root), daemon: NO_DAEMON, uid: 0 },
  );
  expect(findings.filter(({ check }) => check === "socket")).toEqual([
    expect.objectContaining({
      state: "failure",
      remedy: expect.stringContaining("systemctl start iovad") as string,
    }),
  ]);
});

it.each([
  ["no iommufd", () => rmSync(join(root, "/dev/iommu")), "iommufd", "failure", "let this container"],
  ["an old kernel", () => write("/proc/sys/kernel/osrelease", "6.1.0"), "version", "warning", "6.6"],
  [
    "no module",
    () => rmSync(join(root, "/sys/module/vfio_pci"), { recursive: true }),
    "modules",
    "warning",
    "modprobe vfio-pci",
  ],
  [
    "a kernel without cdevs",
    () => {
      rmSync(join(root, "/dev/vfio/devices"), { recursive: true });
      write("/boot/config-6.12.0", "CONFIG_IOMMUFD=y\n");
    },
    "VFIO cdevs",
    "failure",
    "CONFIG_VFIO_DEVICE_CDEV",
  ],
  [
    "39 bits",
    () => write("/sys/class/iommu/dmar0/intel-iommu/cap", "d2008c40660462"),
    "aperture",
    "warning",
    "host-phys-bits-limit",
  ],
  [
    "no interrupt remapping",
    () => write("/sys/class/iommu/dmar0/intel-iommu/ecap", "f050d2"),
    "interrupt remapping",
    "warning",
    "firmware",
  ],
  [
    "interrupt remapping turned off",
    () => write("/proc/cmdline", "intremap=off"),
    "interrupt remapping",
    "failure",
    "boot without",
  ],
  [
    "an unsafe option",
    () => write("/sys/module/iommufd/parameters/allow_unsafe_interrupts", "Y"),
    "unsafe options",
    "warning",
    "turn it off",
  ],
  [
    "a claim of firmware",
    () =>
      write("/sys/kernel/iommu_groups/5/reserved_regions", "0x00000000bdf6e000 0x00000000bdf84fff direct\n"),
    "1:1 claims",
    "warning",
    "RMRR",
  ],
])("sees %s", async (_what, change, check, state, remedy) => {
  change();
  const found = (await complaints()).filter((each) => each.check === check);
  expect(found).toEqual([
    expect.objectContaining({ state, text: expect.stringContaining(remedy) as string }),
  ]);
});

it.each([
  ["turned off", "intel_iommu=off", "boot without intel_iommu=off"],
  ["not used", "quiet", "intel_iommu=on"],
])("says why there is no IOMMU: %s", async (_what, line, remedy) => {
  rmSync(join(root, "/sys/kernel/iommu_groups"), { recursive: true });
  rmSync(join(root, "/sys/class/iommu"), { recursive: true });
  write("/proc/cmdline", line);
  write("/sys/firmware/acpi/tables/DMAR", "");
  const found = (await complaints()).find(({ check }) => check === "on");
  expect(found).toMatchObject({ group: "iommu", state: "failure" });
  expect(found?.text).toContain(remedy);
});

it("names who has a device open, what driver it is on, and the siblings in the way", async () => {
  write("/proc/4711/comm", "qemu-system-x86\n");
  link("/proc/4711/fd/9", "/dev/vfio/devices/vfio0");
  link("/sys/kernel/iommu_groups/5/devices/0000:01:00.1/driver", "/sys/bus/pci/drivers/snd_hda_intel");
  const found = await complaints("0000:01:00.0");
  expect(found).toEqual([
    expect.objectContaining({
      check: "group",
      state: "failure",
      text: expect.stringContaining("0000:01:00.1 (snd_hda_intel)") as string,
    }),
    expect.objectContaining({
      check: "holders",
      state: "warning",
      text: expect.stringContaining("qemu-system-x86 (pid 4711)") as string,
    }),
  ]);
  expect(await complaints("0000:01:00.1")).toContainEqual(
    expect.objectContaining({ check: "driver", state: "failure" }),
  );
});

it("a claim is a failure for the device that it concerns, and says which others share it", async () => {
  write("/sys/kernel/iommu_groups/5/reserved_regions", "0x00000000bdf6e000 0x00000000bdf84fff direct\n");
  write("/sys/kernel/iommu_groups/6/reserved_regions", "0x00000000bdf6e000 0x00000000bdf84fff direct\n");
  mkdirSync(join(root, "/sys/kernel/iommu_groups/6/devices/0000:02:00.0"), { recursive: true });
  const [found] = (await complaints("01:00.0")).filter(({ group }) => group === "firmware");
  expect(found?.state).toBe("failure");
  expect(found?.text).toContain(
    "0xbdf6e000-0xbdf84fff is to be mapped 1:1 for 0000:01:00.0, 0000:02:00.0, over 2 groups",
  );
});

it("compares the limit of locked memory with what the guest needs; root is not held to it", async () => {
  write("/proc/self/limits", "Max locked memory         8388608              8388608              bytes\n");
  expect(await complaints(undefined, { guest: 8n << 30n })).toEqual([
    expect.objectContaining({ group: "memory lock", state: "failure" }),
  ]);
  expect(await complaints(undefined, { guest: 1n << 20n })).toEqual([]);
  expect(await complaints(undefined, { guest: 8n << 30n, uid: 0 })).toEqual([]);
});
