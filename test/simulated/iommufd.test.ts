import { describe, expect, it } from "vitest";
import { IOMMUFD_IOCTLS, iommu_ioas_unmap, iommu_iova_range } from "../../src/uapi/iommufd.ts";
import { iommu_resv_iova_ranges } from "../../src/uapi/resv-iova-ranges.ts";
import { EVERYTHING, outcome, type Session, U64_MAX } from "../conformance/session.ts";
import { sessionOn } from "./session-on.ts";

const RESV_IOVA_RANGES = 0x3bb0;
const MSI = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
const LOW = { start: "0x1000", last: "0x1fff", type: "reserved" };
const RELAXABLE = { start: "0x5000", last: "0x5fff", type: "direct-relaxable" };

/** Two devices, each behind an IOMMU of its own. */
const TWO_IOMMUS = {
  iommus: [
    { name: "narrow", aperture: { start: "0x0", last: "0xffffffff" } },
    { name: "wide", aperture: { start: "0x100", last: "0xffffffffff" }, "page-size": 256 },
  ],
  devices: [
    { device: "a", iommu: "narrow", driver: "vfio-pci", regions: [LOW] },
    { device: "b", iommu: "wide", driver: "vfio-pci", regions: [MSI] },
  ],
};

describe("an IOAS with devices of two IOMMUs", () => {
  async function bothBound() {
    const session = sessionOn(TWO_IOMMUS);
    const iommufd = session.openIommufd();
    const ioas = session.allocIoas(iommufd);
    const [a, b] = [session.openDevice(0), session.openDevice(1)];
    await session.bind(a, iommufd);
    await session.bind(b, iommufd);
    return { session, iommufd, ioas, a, b };
  }

  it("has a hwpt for each, and what both can translate", async () => {
    const { session, iommufd, ioas, a, b } = await bothBound();
    expect([await session.attach(a, ioas), await session.attach(b, ioas)]).toEqual([4, 5]);
    const both = [
      [0x100n, 0xfffn],
      [0x2000n, 0xfedfffffn],
      [0xfef00000n, 0xffffffffn],
    ];
    expect(session.rangesAndAlignment(iommufd, ioas)).toEqual({ ranges: both, alignment: 4096n });
    await session.detach(a);
    const wide = [
      [0x100n, 0xfedfffffn],
      [0xfef00000n, 0xffffffffffn],
    ];
    expect(session.rangesAndAlignment(iommufd, ioas)).toEqual({ ranges: wide, alignment: 256n });
  });

  it("takes no device onto the other IOMMU's hwpt", async () => {
    const { session, iommufd, ioas, a, b } = await bothBound();
    const hwpt = await session.attach(a, ioas);
    const before = session.ranges(iommufd, ioas);
    expect(await outcome(() => session.attach(b, hwpt))).toBe("EINVAL");
    expect(session.ranges(iommufd, ioas)).toEqual(before);
  });

  it("forgets a device's regions when it is attached again, past the other's hwpt, as Linux 6.12 does", async () => {
    const { session, iommufd, ioas, a, b } = await bothBound();
    await session.attach(a, ioas);
    const hwpt = await session.attach(b, ioas);
    expect(await session.attach(b, ioas)).toBe(hwpt);
    expect(session.ranges(iommufd, ioas)).toEqual([
      [0x100n, 0xfffn],
      [0x2000n, 0xffffffffn],
    ]);
  });
});

describe("the proposed RESV_IOVA_RANGES", () => {
  const host = (resvIovaRanges: boolean) =>
    sessionOn({
      kernel: { "resv-iova-ranges": resvIovaRanges },
      iommus: [{ name: "dmar0" }],
      devices: [{ device: "a", iommu: "dmar0", driver: "vfio-pci", regions: [MSI, RELAXABLE, LOW] }],
    });

  /** What a call with room for `capacity` ranges gives. */
  async function call(session: Session, iommufd: number, values: object, capacity: number) {
    const target = Buffer.alloc(capacity * iommu_iova_range.size);
    const argument = iommu_resv_iova_ranges.encode({ num_iovas: capacity, ...values });
    const pointers = capacity > 0 ? [{ offset: 16, target }] : [];
    const code = await outcome(() => session.ioctl(iommufd, RESV_IOVA_RANGES, argument, ...pointers));
    const { num_iovas } = iommu_resv_iova_ranges.decode(argument);
    return { code, num_iovas, ranges: iommu_iova_range.decodeArray(target) };
  }

  it("lists a bound device's enforced regions in its driver's order", async () => {
    const session = host(true);
    const iommufd = session.openIommufd();
    const dev_id = await session.bind(session.openDevice(0), iommufd);
    const ranges = [
      { start: 0xfee00000n, last: 0xfeefffffn },
      { start: 0x1000n, last: 0x1fffn },
    ];
    expect(await call(session, iommufd, { dev_id }, 2)).toEqual({ code: "OK", num_iovas: 2, ranges });
    const [first] = ranges;
    expect(await call(session, iommufd, { dev_id }, 1)).toEqual({
      code: "EMSGSIZE",
      num_iovas: 2,
      ranges: [first],
    });
    expect(await call(session, iommufd, { dev_id }, 0)).toMatchObject({ code: "EMSGSIZE", num_iovas: 2 });
    expect(await call(session, iommufd, { dev_id, __reserved: 1 }, 2)).toMatchObject({ code: "EOPNOTSUPP" });
    expect(await call(session, iommufd, { dev_id: 9 }, 2)).toMatchObject({ code: "ENOENT" });
    const ioas = session.allocIoas(iommufd);
    expect(await call(session, iommufd, { dev_id: ioas }, 2)).toMatchObject({ code: "ENOENT" });
  });

  it("is ENOTTY on a kernel without it, and never takes mainline's number", async () => {
    const session = host(false);
    const iommufd = session.openIommufd();
    const dev_id = await session.bind(session.openDevice(0), iommufd);
    expect(await call(session, iommufd, { dev_id }, 2)).toMatchObject({ code: "ENOTTY", num_iovas: 2 });
    expect(Object.values<number>(IOMMUFD_IOCTLS)).not.toContain(RESV_IOVA_RANGES);
  });
});

describe("a context", () => {
  it("answers ENOTTY to the commands that are not simulated", async () => {
    const session = sessionOn({});
    const iommufd = session.openIommufd();
    const { IOMMU_HWPT_SET_DIRTY_TRACKING, IOMMU_HWPT_ALLOC, IOMMU_TEST_CMD } = IOMMUFD_IOCTLS;
    for (const request of [IOMMU_HWPT_SET_DIRTY_TRACKING, IOMMU_HWPT_ALLOC, IOMMU_TEST_CMD]) {
      expect(await outcome(() => session.ioctl(iommufd, request, Buffer.alloc(64)))).toBe("ENOTTY");
    }
  });

  it("answers EFAULT to a struct that claims more bytes than there are", async () => {
    const session = sessionOn({});
    const iommufd = session.openIommufd();
    const argument = Buffer.alloc(12);
    argument.writeUInt32LE(13);
    expect(await outcome(() => session.ioctl(iommufd, 0x3b81, argument))).toBe("EFAULT");
    expect(await outcome(() => session.ioctl(iommufd, 0x3b81, Buffer.alloc(3)))).toBe("EFAULT");
  });

  it("answers EFAULT when the array is shorter than the count says", async () => {
    const session = sessionOn({});
    const iommufd = session.openIommufd();
    const ioas_id = session.allocIoas(iommufd);
    const target = iommu_iova_range.encodeArray([{ start: 0n, last: 1n }]);
    const argument = Buffer.alloc(24);
    argument.writeUInt32LE(24, 0);
    argument.writeUInt32LE(ioas_id, 4);
    argument.writeUInt32LE(2, 8);
    expect(await outcome(() => session.ioctl(iommufd, 0x3b82, argument, { offset: 16, target }))).toBe(
      "EFAULT",
    );
  });

  it("says ENOENT when there is nothing to unmap, unless all is to be unmapped", async () => {
    const session = sessionOn({});
    const iommufd = session.openIommufd();
    const ioas_id = session.allocIoas(iommufd);
    const unmap = (iova: bigint, length: bigint) =>
      outcome(() => session.ioctl(iommufd, 0x3b86, iommu_ioas_unmap.encode({ ioas_id, iova, length })));
    expect(await unmap(0x1000n, 0x1000n)).toBe("ENOENT");
    expect(await unmap(0n, U64_MAX)).toBe("OK");
    expect(session.ranges(iommufd, ioas_id)).toEqual(EVERYTHING);
  });
});
