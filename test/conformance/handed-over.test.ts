import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEVICES, kernelUnderTest } from "./kernel-under-test.ts";
import { ATTACHED, outcome, Session } from "./session.ts";

/** What the daemon relies on when it gives descriptors away. */
const { kernel, devices } = await kernelUnderTest();
afterAll(() => kernel.shutdown());

let session: Session;
beforeEach(() => {
  session = new Session(kernel, devices);
});
afterEach(() => session.end());

const enabled = (device: string) => Number(kernel.readFile(`/sys/bus/pci/devices/${device}/enable`));

/** A second descriptor of an open file, as SCM_RIGHTS makes one in another process. */
function duplicate(fd: number): number {
  const copy = kernel.duplicate(fd);
  expect(copy).not.toBe(fd);
  return copy;
}

describe("a node's device number", () => {
  it("is the one that sysfs has for the VFIO device", () => {
    const [name] = kernel.readDirectory(`/sys/bus/pci/devices/${DEVICES[0]}/vfio-dev`);
    const number = kernel.readFile(`/sys/bus/pci/devices/${DEVICES[0]}/vfio-dev/${name}/dev`).trim();
    expect(kernel.deviceNumber(session.openDevice(0))).toBe(number);
    expect(kernel.deviceNumber(session.openDevice(1))).not.toBe(number);
  });

  it("of /dev/iommu is one of the misc devices'", () => {
    expect(kernel.deviceNumber(session.openIommufd())).toMatch(/^10:\d+$/);
  });

  it("is not to be had of a closed descriptor", async () => {
    const iommufd = session.openIommufd();
    await session.close(iommufd);
    expect(await outcome(() => kernel.deviceNumber(iommufd))).toBe("EBADF");
    expect(await outcome(() => kernel.duplicate(iommufd))).toBe("EBADF");
  });
});

describe("a duplicate", () => {
  it("of an iommufd is the same context, and keeps it when the first descriptor is closed", async () => {
    const first = session.openIommufd();
    const ioas = session.allocIoas(first);
    const second = duplicate(first);
    expect(session.allocIoas(second)).toBe(ioas + 1);
    await session.close(first);
    expect(session.ranges(second, ioas)).toHaveLength(1);
    await kernel.close(second);
  });

  it("of a cdev is the same open file: whoever binds by it, the device is free when both are closed", async () => {
    const iommufd = session.openIommufd();
    const ioas = session.allocIoas(iommufd);
    const cdev = session.openDevice(0);
    const given = duplicate(cdev);
    await session.close(cdev);
    await session.bind(given, iommufd);
    await session.attach(given, ioas);
    expect(session.ranges(iommufd, ioas)).toEqual(ATTACHED);
    expect(await outcome(() => session.bind(session.openDevice(0), iommufd))).toBe("EINVAL");
    await kernel.close(given);
    await session.bind(session.openDevice(0), iommufd);
  });
});

describe("sysfs's enable", () => {
  it("tells that a device is bound, by whomever, and that it no longer is", async () => {
    const iommufd = session.openIommufd();
    const cdev = session.openDevice(0);
    expect(enabled(DEVICES[0])).toBe(0);
    await session.bind(cdev, iommufd);
    expect(enabled(DEVICES[0])).toBe(1);
    expect(enabled(DEVICES[1])).toBe(0);
    await session.close(cdev);
    expect(enabled(DEVICES[0])).toBe(0);
  });
});
