import { afterEach, expect, test } from "vitest";
import type { LinuxKernel } from "../../src/kernel/linux/linux-kernel.ts";
import { onlyWhere } from "../conformance/only-where.ts";

// A second reader, independent of src/uapi: numbers and offsets are written out here, from
// include/uapi/linux/iommufd.h and vfio.h.
const IOAS_ALLOC = 0x3b81;
const IOAS_IOVA_RANGES = 0x3b84;
const BIND_IOMMUFD = 0x3b76;
const ATTACH_IOMMUFD_PT = 0x3b77;
const DETACH_IOMMUFD_PT = 0x3b78;

const compiled = new URL("../../dist/kernel/linux/linux-kernel.js", import.meta.url).href;
const { LinuxKernel: Compiled } = (await import(compiled)) as { LinuxKernel: new () => LinuxKernel };

const kernel = new Compiled();
const opened: number[] = [];
afterEach(async () => {
  for (const fd of opened.splice(0).reverse()) await kernel.close(fd);
});

function open(path: string): number {
  const fd = kernel.open(path);
  opened.push(fd);
  return fd;
}

const words = (...values: number[]) => Buffer.from(new Uint32Array(values).buffer);

function allocateIoas(iommufd: number): number {
  const argument = words(12, 0, 0);
  kernel.ioctl(iommufd, IOAS_ALLOC, argument);
  return argument.readUInt32LE(8);
}

/** The allowed ranges, read with room for eight, as `start-last` in hexadecimal. */
function ranges(iommufd: number, ioas: number): string[] {
  const argument = words(32, ioas, 8, 0, 0, 0, 0, 0);
  const target = Buffer.alloc(8 * 16);
  kernel.ioctl(iommufd, IOAS_IOVA_RANGES, argument, { offset: 16, target });
  return Array.from({ length: argument.readUInt32LE(8) }, (_, index) =>
    [0, 8].map((offset) => target.readBigUInt64LE(index * 16 + offset).toString(16)).join("-"),
  );
}

async function bind(iommufd: number, cdev: number): Promise<void> {
  await kernel.slowIoctl(cdev, BIND_IOMMUFD, words(16, 0, iommufd, 0));
}

const EVERYTHING = ["0-ffffffffffffffff"];

test("an IOAS with nothing attached allows every address", () => {
  const iommufd = open("/dev/iommu");
  expect(ranges(iommufd, allocateIoas(iommufd))).toEqual(EVERYTHING);
});

test("too little room is EMSGSIZE, and the count needed is written back", () => {
  const iommufd = open("/dev/iommu");
  const argument = words(32, allocateIoas(iommufd), 0, 0, 0, 0, 0, 0);
  expect(() => kernel.ioctl(iommufd, IOAS_IOVA_RANGES, argument)).toThrow("ioctl 0x3b84: EMSGSIZE");
  expect(argument.readUInt32LE(8)).toBe(1);
});

// The figures are that boot's; the other ones have theirs in test/conformance.
test(
  "a device takes its MSI window and what is beyond its aperture out, and gives them back",
  onlyWhere(process.env.IOVAD_LAB_BOOT === "vtd39", "the boot vtd39"),
  async () => {
    const iommufd = open("/dev/iommu");
    const ioas = allocateIoas(iommufd);
    const cdev = open("/dev/vfio/devices/vfio0");
    await bind(iommufd, cdev);
    await kernel.slowIoctl(cdev, ATTACH_IOMMUFD_PT, words(12, 0, ioas));
    expect(ranges(iommufd, ioas)).toEqual(["0-fedfffff", "fef00000-7fffffffff"]);
    await kernel.slowIoctl(cdev, DETACH_IOMMUFD_PT, words(8, 0));
    expect(ranges(iommufd, ioas)).toEqual(EVERYTHING);
  },
);

test("an errno that a thread meets comes back by name: a second bind of one descriptor is EINVAL", async () => {
  const iommufd = open("/dev/iommu");
  const cdev = open("/dev/vfio/devices/vfio1");
  await bind(iommufd, cdev);
  await expect(bind(iommufd, cdev)).rejects.toThrow("ioctl 0x3b76: EINVAL");
});

test("two devices bound at the same time, each on a thread, are both bound", async () => {
  const iommufd = open("/dev/iommu");
  const cdevs = [open("/dev/vfio/devices/vfio0"), open("/dev/vfio/devices/vfio1")];
  await Promise.all(cdevs.map((cdev) => bind(iommufd, cdev)));
  for (const cdev of cdevs) await expect(bind(iommufd, cdev)).rejects.toThrow("EINVAL");
});

test("once close settles the device is free for the next to bind", async () => {
  const iommufd = open("/dev/iommu");
  for (let round = 0; round < 3; round++) {
    const cdev = kernel.open("/dev/vfio/devices/vfio0");
    await bind(iommufd, cdev);
    await kernel.close(cdev);
  }
});
