import { basename } from "node:path/posix";
import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { IOMMU_DESTROY, iommu_destroy } from "../../src/uapi/iommufd.ts";
import {
  VFIO_CHECK_EXTENSION,
  VFIO_GET_API_VERSION,
  VFIO_GROUP_FLAGS_CONTAINER_SET,
  VFIO_GROUP_FLAGS_VIABLE,
  VFIO_GROUP_GET_STATUS,
  VFIO_GROUP_SET_CONTAINER,
  VFIO_IOMMU_GET_INFO,
  VFIO_IOMMU_INFO_CAPS,
  VFIO_IOMMU_INFO_PGSIZES,
  VFIO_SET_IOMMU,
  VFIO_TYPE1v2_IOMMU,
  vfio_group_status,
  vfio_iommu_type1_info,
} from "../../src/uapi/vfio.ts";
import { iovaRangesOf } from "../../src/uapi/vfio-capabilities.ts";
import { DEVICES, kernelUnderTest, SIBLINGS } from "./kernel-under-test.ts";
import { currentPlatform } from "./platforms.ts";
import { outcome, PAGE, Session } from "./session.ts";

const { kernel, devices } = await kernelUnderTest();
// Built code knows the errors of built code only.
const place = kernel.backend === "linux" ? "../../dist/kernel/type1.js" : "../../src/kernel/type1.ts";
const { VfioContainer, VfioGroup } = (await import(place)) as typeof import("../../src/kernel/type1.ts");
const session = new Session(kernel, devices);
const ALLOWED = currentPlatform().allowed.map(([start, last]) => ({ start, last }));
const groupOf = (device: string) =>
  Number(basename(kernel.readLink(`/sys/bus/pci/devices/${device}/iommu_group`)));
const GROUPS = DEVICES.map(groupOf) as [number, number];

const openContainer = () => session.open("/dev/vfio/vfio");
const openGroup = (group = GROUPS[0]) => session.open(`/dev/vfio/${group}`);

const setContainer = (group: number, container: number) => {
  const argument = Buffer.alloc(4);
  argument.writeInt32LE(container);
  return outcome(() => kernel.slowIoctl(group, VFIO_GROUP_SET_CONTAINER, argument));
};
const setIommu = (container: number, type: number = VFIO_TYPE1v2_IOMMU) =>
  outcome(() => kernel.slowIoctl(container, VFIO_SET_IOMMU, type));
const getInfo = (container: number, argument: Uint8Array) =>
  outcome(() => kernel.slowIoctl(container, VFIO_IOMMU_GET_INFO, argument));

async function status(group: number): Promise<number> {
  const argument = vfio_group_status.encode();
  await kernel.slowIoctl(group, VFIO_GROUP_GET_STATUS, argument);
  return vfio_group_status.decode(argument).flags;
}

/** What the container tells, with ample room. */
async function rangesOf(container: number) {
  const argument = Buffer.concat([vfio_iommu_type1_info.encode({ argsz: 4096 })], 4096);
  expect(await getInfo(container, argument)).toBe("OK");
  return iovaRangesOf(argument);
}

let container: number;
beforeEach(() => {
  container = openContainer();
});
afterEach(() => session.end());
afterAll(() => kernel.shutdown());

describe("a container", () => {
  it("tells its version and what it can do, by numbers", async () => {
    expect(kernel.ioctl(container, VFIO_GET_API_VERSION, 0)).toBe(0);
    const known = [1, 2, 3, 5, 9, 99].map((type) => kernel.ioctl(container, VFIO_CHECK_EXTENSION, type));
    expect(known).toEqual([1, 0, 1, 0, 1, 0]);
    expect(await kernel.slowIoctl(container, VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU)).toBe(1);
  });

  it("without a group has no IOMMU, and nothing to tell", async () => {
    expect(await setIommu(container)).toBe("EINVAL");
    expect(await getInfo(container, vfio_iommu_type1_info.encode())).toBe("EINVAL");
  });

  it("takes one IOMMU, of a type that there is", async () => {
    expect(await setContainer(openGroup(), container)).toBe("OK");
    expect(await getInfo(container, vfio_iommu_type1_info.encode())).toBe("EINVAL");
    expect(await setIommu(container, 99)).toBe("ENODEV");
    expect(await setIommu(container)).toBe("OK");
    expect(await setIommu(container)).toBe("EINVAL");
  });

  it("can be told from an iommufd by an object that is never there", async () => {
    const destroy = (fd: number) =>
      outcome(() => kernel.ioctl(fd, IOMMU_DESTROY, iommu_destroy.encode({ id: 0 })));
    expect(await destroy(container)).toBe("EINVAL");
    await setContainer(openGroup(), container);
    await setIommu(container);
    expect(await destroy(container)).toBe("ENOTTY");
    expect(await destroy(session.openIommufd())).toBe("ENOENT");
  });

  it("loses its IOMMU with its last group, and serves another", async () => {
    const first = openGroup();
    await setContainer(first, container);
    await setIommu(container);
    await session.close(first);
    expect(await getInfo(container, vfio_iommu_type1_info.encode())).toBe("EINVAL");
    expect(await setContainer(openGroup(GROUPS[1]), container)).toBe("OK");
    expect(await setIommu(container)).toBe("OK");
  });

  it("outlives its descriptor for as long as a group is in it", async () => {
    const group = openGroup();
    await setContainer(group, container);
    await session.close(container);
    expect(await status(group)).toBe(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
    expect(await setContainer(group, openContainer())).toBe("EINVAL");
  });
});

describe("a group", () => {
  it("is open once", async () => {
    const group = openGroup();
    expect(await outcome(() => openGroup())).toBe("EBUSY");
    await session.close(group);
    expect(await outcome(() => openGroup())).toBe("OK");
  });

  it("and the cdevs of its devices exclude each other, once those are bound", async () => {
    const cdev = session.openDevice(0);
    const iommufd = session.openIommufd();
    const group = openGroup();
    expect(await outcome(() => session.bind(cdev, iommufd))).toBe("EBUSY");
    await session.close(group);
    await session.bind(cdev, iommufd);
    expect(await outcome(() => openGroup())).toBe("EBUSY");
    await session.close(cdev);
    expect(await outcome(() => openGroup())).toBe("OK");
  });

  it("is viable, and says when it is in a container", async () => {
    const group = openGroup();
    expect(await status(group)).toBe(VFIO_GROUP_FLAGS_VIABLE);
    expect(await setContainer(group, container)).toBe("OK");
    expect(await status(group)).toBe(VFIO_GROUP_FLAGS_VIABLE | VFIO_GROUP_FLAGS_CONTAINER_SET);
    const short = vfio_group_status.encode({ argsz: 7 });
    expect(await outcome(() => kernel.slowIoctl(group, VFIO_GROUP_GET_STATUS, short))).toBe("EINVAL");
  });

  it("goes into one container, and into nothing else", async () => {
    const group = openGroup();
    expect(await setContainer(group, -1)).toBe("EBADF");
    expect(await setContainer(group, session.openDevice(1))).toBe("EBADFD");
    expect(await setContainer(group, container)).toBe("OK");
    expect(await setContainer(group, openContainer())).toBe("EINVAL");
    expect(await setContainer(group, -1)).toBe("EBADF");
  });

  it("answers a number that is no command with ENOTTY", async () => {
    expect(await outcome(() => kernel.slowIoctl(openGroup(), 0x3bff, 0))).toBe("ENOTTY");
  });

  it("has no node that is not there", async () => {
    expect(await outcome(() => openGroup(9999))).toBe("ENOENT");
  });
});

describe("what a container with an IOMMU tells", () => {
  beforeEach(async () => {
    await setContainer(openGroup(), container);
    await setIommu(container);
  });

  it("is the ranges that an IOAS would allow, and page sizes", async () => {
    expect(await rangesOf(container)).toEqual(ALLOWED);
    const argument = vfio_iommu_type1_info.encode();
    await getInfo(container, argument);
    const { iova_pgsizes } = vfio_iommu_type1_info.decode(argument);
    expect(iova_pgsizes & -iova_pgsizes).toBe(PAGE);
  });

  it("asks for more room in argsz, and leaves what is behind the room alone", async () => {
    expect(await getInfo(container, vfio_iommu_type1_info.encode({ argsz: 15 }))).toBe("EINVAL");
    const needed = 24 + 32 + 16 + 16 + 16 * ALLOWED.length;
    for (const room of [16, 24, needed - 1]) {
      const argument = Buffer.alloc(4096, 0xee);
      vfio_iommu_type1_info.encode({ argsz: room, cap_offset: 7 }).copy(argument);
      expect(await getInfo(container, argument)).toBe("OK");
      const { argsz, flags, cap_offset } = vfio_iommu_type1_info.decode(argument);
      expect(argsz).toBe(needed);
      expect(flags).toBe(VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS);
      expect(cap_offset).toBe(room < 24 ? 7 : 0);
      expect(argument.subarray(24).every((byte) => byte === 0xee)).toBe(true);
    }
  });

  it("has its capabilities right behind the struct, the ranges last", async () => {
    const needed = 24 + 32 + 16 + 16 + 16 * ALLOWED.length;
    const argument = Buffer.alloc(needed + 8, 0xee);
    vfio_iommu_type1_info.encode({ argsz: needed }).copy(argument);
    await getInfo(container, argument);
    const words = (at: number) => [argument.readUInt16LE(at), argument.readUInt16LE(at + 2)];
    expect(argument.readUInt32LE(16)).toBe(24);
    expect([words(24), argument.readUInt32LE(28)]).toEqual([[2, 1], 56]);
    expect([words(56), argument.readUInt32LE(60), argument.readUInt32LE(64)]).toEqual([[3, 1], 72, 0xffff]);
    expect([words(72), argument.readUInt32LE(76)]).toEqual([[1, 1], 0]);
    expect(argument.readBigUInt64LE(48)).toBe(1n << 28n);
    expect(argument.subarray(needed).every((byte) => byte === 0xee)).toBe(true);
  });

  it("is all the same with a second group in it, and when that has gone", async () => {
    const second = openGroup(GROUPS[1]);
    expect(await setContainer(second, container)).toBe("OK");
    expect(await rangesOf(container)).toEqual(ALLOWED);
    await session.close(second);
    expect(await rangesOf(container)).toEqual(ALLOWED);
  });

  it("leaves the device free for a bind when it is closed", async () => {
    await session.end();
    expect(await session.bind(session.openDevice(0), session.openIommufd())).toBe(1);
  });
});

describe("a probe by type1", () => {
  it.each([DEVICES[0], SIBLINGS[0], SIBLINGS[1]])("of %s gives what an IOAS allows", async (device) => {
    await session.end();
    const group = VfioGroup.open(kernel, groupOf(device));
    const each = VfioContainer.open(kernel);
    try {
      expect(await group.isViable()).toBe(true);
      expect(await each.isIommufd()).toBe(false);
      await group.setContainer(each);
      await each.setIommu();
      const answer = await each.iovaRanges();
      expect([...(answer?.ranges ?? [])]).toEqual(ALLOWED);
      expect(answer?.alignment).toBe(PAGE);
    } finally {
      await group.close();
      await each.close();
    }
  });
});
