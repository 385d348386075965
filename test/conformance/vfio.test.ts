import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  VFIO_DEVICE_ATTACH_IOMMUFD_PT,
  VFIO_DEVICE_BIND_IOMMUFD,
  VFIO_DEVICE_DETACH_IOMMUFD_PT,
  VFIO_DEVICE_FLAGS_PCI,
  VFIO_DEVICE_GET_INFO,
  vfio_device_attach_iommufd_pt,
  vfio_device_bind_iommufd,
  vfio_device_detach_iommufd_pt,
  vfio_device_info,
} from "../../src/uapi/vfio.ts";
import { kernelUnderTest } from "./kernel-under-test.ts";
import { ATTACHED, EVERYTHING, outcome, Session } from "./session.ts";

const { kernel, devices } = await kernelUnderTest();
const session = new Session(kernel, devices);
let iommufd: number;
let device: number;

beforeEach(() => {
  iommufd = session.openIommufd();
  device = session.openDevice(0);
});
afterEach(() => session.end());
afterAll(() => kernel.shutdown());

const call = (request: number, argument: Uint8Array) =>
  outcome(() => kernel.slowIoctl(device, request, argument));

describe("a device that is not bound", () => {
  it("answers EINVAL to every command but BIND", async () => {
    for (const request of [
      VFIO_DEVICE_GET_INFO,
      VFIO_DEVICE_ATTACH_IOMMUFD_PT,
      VFIO_DEVICE_DETACH_IOMMUFD_PT,
      0x3bff,
    ]) {
      expect(await call(request, vfio_device_info.encode())).toBe("EINVAL");
    }
  });

  it("refuses a BIND that is not well-formed, and then takes one that is", async () => {
    const bind = (values: object) =>
      call(VFIO_DEVICE_BIND_IOMMUFD, vfio_device_bind_iommufd.encode({ iommufd, ...values }));
    expect(await bind({ argsz: 15 })).toBe("EINVAL");
    expect(await bind({ flags: 0x80000000 })).toBe("EINVAL");
    expect(await bind({ iommufd: -1 })).toBe("EINVAL");
    expect(await bind({ iommufd: 0x7fffffff })).toBe("EBADF");
    expect(await bind({ iommufd: device })).toBe("EBADFD");
    expect(await bind({ iommufd: session.openDevice(1) })).toBe("EBADFD");
    expect(await bind({})).toBe("OK");
  });
});

describe("BIND", () => {
  it("gives the device the lowest free id of the context", async () => {
    session.allocIoas(iommufd);
    session.allocIoas(iommufd);
    session.destroy(iommufd, 1);
    expect(await session.bind(device, iommufd)).toBe(1);
    expect(await session.bind(session.openDevice(1), iommufd)).toBe(3);
  });

  it("happens once on a descriptor, and on one descriptor of a device at a time", async () => {
    await session.bind(device, iommufd);
    expect(await outcome(() => session.bind(device, iommufd))).toBe("EINVAL");
    const second = session.openDevice(0);
    expect(await outcome(() => session.bind(second, iommufd))).toBe("EINVAL");
    expect(await outcome(() => session.bind(second, session.openIommufd()))).toBe("EINVAL");
    await session.close(device);
    expect(await session.bind(second, session.openIommufd())).toBe(1);
  });

  it("does not reserve anything yet", async () => {
    const ioas = session.allocIoas(iommufd);
    await session.bind(device, iommufd);
    expect(session.ranges(iommufd, ioas)).toEqual(EVERYTHING);
  });

  it("is undone by close alone: DESTROY of the device's id is EBUSY", async () => {
    const id = await session.bind(device, iommufd);
    expect(await outcome(() => session.destroy(iommufd, id))).toBe("EBUSY");
    await session.close(device);
    expect(await outcome(() => session.destroy(iommufd, id))).toBe("ENOENT");
    expect(session.allocIoas(iommufd)).toBe(id);
  });

  it("outlives the descriptor of its context", async () => {
    const ioas = session.allocIoas(iommufd);
    await session.bind(device, iommufd);
    await session.close(iommufd);
    const hwpt = await session.attach(device, ioas);
    expect(hwpt).toBe(3);
    await session.detach(device);
    const other = session.openDevice(0);
    const otherIommufd = session.openIommufd();
    expect(await outcome(() => session.bind(other, otherIommufd))).toBe("EINVAL");
    await session.close(device);
    expect(await session.bind(other, otherIommufd)).toBe(1);
  });
});

describe("a bound device", () => {
  beforeEach(async () => {
    await session.bind(device, iommufd);
  });

  it("tells what it is", async () => {
    const argument = vfio_device_info.encode({ argsz: 16 });
    await kernel.slowIoctl(device, VFIO_DEVICE_GET_INFO, argument);
    const info = vfio_device_info.decode(argument);
    expect(info.flags & VFIO_DEVICE_FLAGS_PCI).toBe(VFIO_DEVICE_FLAGS_PCI);
    expect(info).toMatchObject({ num_regions: 9, num_irqs: 5, cap_offset: 0 });
    expect(await call(VFIO_DEVICE_GET_INFO, vfio_device_info.encode({ argsz: 15 }))).toBe("EINVAL");
  });

  it("refuses an ATTACH or DETACH that is not well-formed", async () => {
    const pt_id = session.allocIoas(iommufd);
    const attach = (values: object) =>
      call(VFIO_DEVICE_ATTACH_IOMMUFD_PT, vfio_device_attach_iommufd_pt.encode({ pt_id, ...values }));
    expect(await attach({ argsz: 11 })).toBe("EINVAL");
    expect(await attach({ flags: 0x80000000 })).toBe("EINVAL");
    expect(await attach({})).toBe("OK");
    const detach = (values: object) =>
      call(VFIO_DEVICE_DETACH_IOMMUFD_PT, vfio_device_detach_iommufd_pt.encode(values));
    expect(await detach({ argsz: 7 })).toBe("EINVAL");
    expect(await detach({ flags: 0x80000000 })).toBe("EINVAL");
    expect(session.ranges(iommufd, pt_id)).toEqual(ATTACHED);
  });

  it("answers a number that is no command with ENOTTY", async () => {
    expect(await call(0x3bff, vfio_device_info.encode())).toBe("ENOTTY");
  });

  it("can be detached before it is attached", async () => {
    expect(await outcome(() => session.detach(device))).toBe("OK");
  });
});

describe("descriptors", () => {
  it("that are not open are EBADF in every call", async () => {
    await session.close(device);
    expect(await outcome(() => kernel.close(0x7fffffff))).toBe("EBADF");
    expect(await outcome(() => kernel.ioctl(0x7fffffff, 0x3b81, Buffer.alloc(12)))).toBe("EBADF");
    expect(await outcome(() => kernel.slowIoctl(0x7fffffff, 0x3b76, Buffer.alloc(16)))).toBe("EBADF");
  });

  it("come only from paths that are there", async () => {
    expect(await outcome(() => kernel.open("/dev/vfio/devices/vfio99"))).toBe("ENOENT");
    expect(await outcome(() => kernel.open("/dev/iommu/x"))).toBe("ENOTDIR");
    expect(await outcome(() => kernel.open("/sys/kernel/iommu_groups"))).toBe("EISDIR");
  });
});
