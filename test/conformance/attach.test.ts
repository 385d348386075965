import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { IOMMU_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges, iommu_iova_range } from "../../src/uapi/iommufd.ts";
import { kernelUnderTest } from "./kernel-under-test.ts";
import { ATTACHED, EVERYTHING, outcome, PAGE, REPLACED, Session } from "./session.ts";

const { kernel, devices } = await kernelUnderTest();
const session = new Session(kernel, devices);
let iommufd: number;
let device: number;
let id: number;
let ioas: number;

beforeEach(async () => {
  iommufd = session.openIommufd();
  ioas = session.allocIoas(iommufd);
  device = session.openDevice(0);
  id = await session.bind(device, iommufd);
});
afterEach(() => session.end());
afterAll(() => kernel.shutdown());

const ranges = (of = ioas) => session.ranges(iommufd, of);
const attach = (to: number) => outcome(() => session.attach(device, to));

describe("ATTACH", () => {
  it("leaves what device and aperture allow, with the IOMMU's page as alignment", async () => {
    await session.attach(device, ioas);
    expect(session.rangesAndAlignment(iommufd, ioas)).toEqual({ ranges: ATTACHED, alignment: PAGE });
  });

  it("makes a hwpt with the lowest free id, which is gone after DETACH", async () => {
    expect([ioas, id]).toEqual([1, 2]);
    expect(await session.attach(device, ioas)).toBe(3);
    expect(session.allocIoas(iommufd)).toBe(4);
    await session.detach(device);
    expect(session.allocIoas(iommufd)).toBe(3);
  });

  it("to the same IOAS again changes nothing", async () => {
    const hwpt = await session.attach(device, ioas);
    expect(await session.attach(device, ioas)).toBe(hwpt);
    expect(await session.attach(device, hwpt)).toBe(hwpt);
    expect(ranges()).toEqual(ATTACHED);
  });

  it("to an unknown id is ENOENT, and to something that is no page table EINVAL", async () => {
    for (const unknown of [0, 77, 0xffffffff]) expect(await attach(unknown)).toBe("ENOENT");
    expect(await attach(id)).toBe("EINVAL");
    const elsewhere = session.openIommufd();
    session.allocIoas(elsewhere);
    session.allocIoas(elsewhere);
    session.allocIoas(elsewhere);
    expect(await attach(3)).toBe("ENOENT");
    expect(ranges()).toEqual(EVERYTHING);
  });

  it("keeps IOAS and hwpt from being destroyed until DETACH", async () => {
    const hwpt = await session.attach(device, ioas);
    expect(await outcome(() => session.destroy(iommufd, ioas))).toBe("EBUSY");
    expect(await outcome(() => session.destroy(iommufd, hwpt))).toBe("EBUSY");
    expect(await outcome(() => session.destroy(iommufd, id))).toBe("EBUSY");
    await session.detach(device);
    expect(await outcome(() => session.destroy(iommufd, hwpt))).toBe("ENOENT");
    expect(await outcome(() => session.destroy(iommufd, ioas))).toBe("OK");
  });

  it("gives ids that other commands do not take for an IOAS", async () => {
    const hwpt = await session.attach(device, ioas);
    for (const other of [hwpt, id]) {
      expect(await outcome(() => session.ranges(iommufd, other))).toBe("ENOENT");
      expect(await outcome(() => session.allow(iommufd, other, []))).toBe("ENOENT");
    }
  });
});

describe("IOVA_RANGES of an attached IOAS", () => {
  beforeEach(async () => {
    await session.attach(device, ioas);
  });

  it.each([0, 1])("fills an array of %i, leaves the rest alone and says EMSGSIZE", async (capacity) => {
    const argument = iommu_ioas_iova_ranges.encode({ ioas_id: ioas, num_iovas: capacity });
    const target = Buffer.alloc((ATTACHED.length + 1) * iommu_iova_range.size, 0xa5);
    const pointer = { offset: iommu_ioas_iova_ranges.fields.allowed_iovas.offset, target };
    expect(await outcome(() => session.ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, argument, pointer))).toBe(
      "EMSGSIZE",
    );
    expect(iommu_ioas_iova_ranges.decode(argument)).toMatchObject({
      num_iovas: ATTACHED.length,
      out_iova_alignment: PAGE,
    });
    const filled = iommu_iova_range.encodeArray(ATTACHED.map(([start, last]) => ({ start, last })));
    const kept = capacity * iommu_iova_range.size;
    expect(target.subarray(0, kept)).toEqual(filled.subarray(0, kept));
    expect(target.subarray(kept)).toEqual(Buffer.alloc(target.length - kept, 0xa5));
  });

  it("succeeds with exactly enough room", () => {
    const argument = iommu_ioas_iova_ranges.encode({ ioas_id: ioas, num_iovas: ATTACHED.length });
    const target = Buffer.alloc(ATTACHED.length * iommu_iova_range.size);
    session.ioctl(iommufd, IOMMU_IOAS_IOVA_RANGES, argument, { offset: 16, target });
    expect(iommu_iova_range.decodeArray(target)).toEqual(ATTACHED.map(([start, last]) => ({ start, last })));
  });
});

describe("DETACH", () => {
  it("gives the IOAS everything back, and can be repeated", async () => {
    await session.attach(device, ioas);
    await session.detach(device);
    expect(session.rangesAndAlignment(iommufd, ioas)).toEqual({ ranges: EVERYTHING, alignment: 1n });
    await session.detach(device);
    await session.attach(device, ioas);
    expect(ranges()).toEqual(ATTACHED);
  });

  it("is part of close", async () => {
    await session.attach(device, ioas);
    await session.close(device);
    expect(session.rangesAndAlignment(iommufd, ioas)).toEqual({ ranges: EVERYTHING, alignment: 1n });
    expect(await outcome(() => session.destroy(iommufd, ioas))).toBe("OK");
  });
});

describe("ATTACH of an attached device to another IOAS", () => {
  it("replaces: the one gets everything back, the other has the reservations", async () => {
    const other = session.allocIoas(iommufd);
    const before = await session.attach(device, ioas);
    const after = await session.attach(device, other);
    expect(after).not.toBe(before);
    expect(ranges()).toEqual(EVERYTHING);
    expect(ranges(other)).toEqual(REPLACED);
    expect(await outcome(() => session.destroy(iommufd, before))).toBe("ENOENT");
    expect(await outcome(() => session.destroy(iommufd, ioas))).toBe("OK");
    expect(await outcome(() => session.destroy(iommufd, other))).toBe("EBUSY");
  });

  it("that is refused leaves it where it is", async () => {
    const other = session.allocIoas(iommufd);
    session.allow(iommufd, other, EVERYTHING);
    await session.attach(device, ioas);
    expect(await attach(other)).toBe("EADDRINUSE");
    expect(await attach(99)).toBe("ENOENT");
    expect(await attach(id)).toBe("EINVAL");
    expect(ranges()).toEqual(ATTACHED);
    expect(session.rangesAndAlignment(iommufd, other)).toEqual({ ranges: EVERYTHING, alignment: 1n });
    expect(await outcome(() => session.destroy(iommufd, other))).toBe("OK");
  });
});

describe("two devices", () => {
  let second: number;

  beforeEach(async () => {
    second = session.openDevice(1);
    await session.bind(second, iommufd);
  });

  it("behind one IOMMU share the hwpt of their IOAS, which lasts until both are detached", async () => {
    const hwpt = await session.attach(device, ioas);
    expect(await session.attach(second, ioas)).toBe(hwpt);
    await session.detach(device);
    expect(ranges()).toEqual(ATTACHED);
    expect(await outcome(() => session.destroy(iommufd, hwpt))).toBe("EBUSY");
    await session.close(second);
    expect(ranges()).toEqual(EVERYTHING);
    expect(await outcome(() => session.destroy(iommufd, hwpt))).toBe("ENOENT");
  });

  it("can be attached to a hwpt by its id", async () => {
    const hwpt = await session.attach(device, ioas);
    expect(await session.attach(second, hwpt)).toBe(hwpt);
    await session.detach(device);
    expect(ranges()).toEqual(ATTACHED);
  });

  it("in two IOASes leave each other's alone", async () => {
    const other = session.allocIoas(iommufd);
    await session.attach(device, ioas);
    expect(ranges(other)).toEqual(EVERYTHING);
    await session.attach(second, other);
    expect(ranges(other)).toEqual(ATTACHED);
    await session.detach(device);
    expect(ranges()).toEqual(EVERYTHING);
    expect(ranges(other)).toEqual(ATTACHED);
  });

  it("in two contexts do not meet", async () => {
    const elsewhere = session.openIommufd();
    const there = session.allocIoas(elsewhere);
    await session.close(second);
    second = session.openDevice(1);
    await session.bind(second, elsewhere);
    await session.attach(second, there);
    expect(ranges()).toEqual(EVERYTHING);
    expect(session.ranges(elsewhere, there)).toEqual(ATTACHED);
  });

  it("of which one moves to another IOAS change both", async () => {
    const other = session.allocIoas(iommufd);
    await session.attach(device, ioas);
    await session.attach(second, ioas);
    await session.attach(second, other);
    expect(ranges()).toEqual(ATTACHED);
    expect(ranges(other)).toEqual(REPLACED);
    await session.detach(device);
    expect(ranges()).toEqual(EVERYTHING);
  });
});
