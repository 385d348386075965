import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  IOMMU_DESTROY,
  IOMMU_IOAS_ALLOC,
  IOMMU_IOAS_ALLOW_IOVAS,
  IOMMU_IOAS_IOVA_RANGES,
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  iommu_destroy,
  iommu_ioas_alloc,
  iommu_ioas_allow_iovas,
  iommu_ioas_iova_ranges,
  iommu_ioas_map,
  iommu_ioas_unmap,
  iommu_option,
} from "../../src/uapi/iommufd.ts";
import { kernelUnderTest } from "./kernel-under-test.ts";
import { EVERYTHING, outcome, type Pair, Session, U64_MAX } from "./session.ts";

/** Never mapped in any process: the null page. */
const BAD_POINTER = 8n;

const { kernel, devices } = await kernelUnderTest();
const session = new Session(kernel, devices);
let iommufd: number;

beforeEach(() => {
  iommufd = session.openIommufd();
});
afterEach(() => session.end());
afterAll(() => kernel.shutdown());

const call = (request: number, argument: Uint8Array) =>
  outcome(() => session.ioctl(iommufd, request, argument));

describe("object ids", () => {
  it("count from 1, and the lowest free one is next", () => {
    expect([1, 2, 3].map(() => session.allocIoas(iommufd))).toEqual([1, 2, 3]);
    session.destroy(iommufd, 2);
    session.destroy(iommufd, 1);
    expect([1, 2, 3].map(() => session.allocIoas(iommufd))).toEqual([1, 2, 4]);
  });

  it("are each context's own", () => {
    session.allocIoas(iommufd);
    expect(session.allocIoas(session.openIommufd())).toBe(1);
  });

  it("that are unknown, and 0, are ENOENT in every command", async () => {
    session.allocIoas(iommufd);
    for (const id of [0, 2, 0xffffffff]) {
      expect(await call(IOMMU_DESTROY, iommu_destroy.encode({ id }))).toBe("ENOENT");
      expect(await outcome(() => session.ranges(iommufd, id))).toBe("ENOENT");
      expect(await outcome(() => session.allow(iommufd, id, []))).toBe("ENOENT");
      expect(await outcome(() => session.map(iommufd, id, 0n, Buffer.alloc(16)))).toBe("ENOENT");
      const unmap = iommu_ioas_unmap.encode({ ioas_id: id, length: 1n });
      expect(await call(IOMMU_IOAS_UNMAP, unmap)).toBe("ENOENT");
      const option = { option_id: IOMMU_OPTION_HUGE_PAGES, op: IOMMU_OPTION_OP_GET, object_id: id };
      expect(await call(IOMMU_OPTION, iommu_option.encode(option))).toBe("ENOENT");
    }
  });
});

describe("the dispatcher", () => {
  it("answers a struct that is too short with EINVAL, before it looks at anything in it", async () => {
    const commands: [number, Buffer][] = [
      [IOMMU_DESTROY, iommu_destroy.encode({ size: 7, id: 99 })],
      [IOMMU_IOAS_ALLOC, iommu_ioas_alloc.encode({ size: 11, flags: 1 })],
      [IOMMU_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges.encode({ size: 31, __reserved: 1 })],
      [IOMMU_IOAS_ALLOW_IOVAS, iommu_ioas_allow_iovas.encode({ size: 0, __reserved: 1 })],
    ];
    for (const [request, argument] of commands) expect(await call(request, argument)).toBe("EINVAL");
  });

  it("takes a longer struct that is zero beyond what it knows, and leaves the rest of it alone", () => {
    const argument = Buffer.concat([iommu_ioas_alloc.encode({ size: 20 }), Buffer.alloc(8)]);
    session.ioctl(iommufd, IOMMU_IOAS_ALLOC, argument);
    expect(iommu_ioas_alloc.decode(argument)).toEqual({ size: 20, flags: 0, out_ioas_id: 1 });
    expect(argument.subarray(12)).toEqual(Buffer.alloc(8));
  });

  it("answers a longer struct that is not zero there with E2BIG, and has done nothing", async () => {
    const argument = Buffer.concat([iommu_ioas_alloc.encode({ size: 20, flags: 1 }), Buffer.alloc(8)]);
    argument[19] = 1;
    expect(await call(IOMMU_IOAS_ALLOC, argument)).toBe("E2BIG");
    expect(session.allocIoas(iommufd)).toBe(1);
  });

  it("answers unknown flags and reserved words with EOPNOTSUPP, before it looks for the object", async () => {
    expect(await call(IOMMU_IOAS_ALLOC, iommu_ioas_alloc.encode({ flags: 1 }))).toBe("EOPNOTSUPP");
    const reserved = { __reserved: 1, ioas_id: 99 };
    const commands: [number, Buffer][] = [
      [IOMMU_IOAS_IOVA_RANGES, iommu_ioas_iova_ranges.encode(reserved)],
      [IOMMU_IOAS_ALLOW_IOVAS, iommu_ioas_allow_iovas.encode(reserved)],
      [IOMMU_IOAS_MAP, iommu_ioas_map.encode(reserved)],
      [IOMMU_IOAS_MAP, iommu_ioas_map.encode({ flags: 8, ioas_id: 99 })],
      [IOMMU_OPTION, iommu_option.encode({ __reserved: 1, object_id: 99 })],
      [IOMMU_OPTION, iommu_option.encode({ option_id: 2, object_id: 99 })],
    ];
    for (const [request, argument] of commands) expect(await call(request, argument)).toBe("EOPNOTSUPP");
  });

  it("answers numbers that are no command with ENOTTY", async () => {
    for (const request of [0x3bff, 0x3bfe, 0x3b60, 0x1284, 0x40003b84]) {
      expect(await call(request, iommu_ioas_iova_ranges.encode())).toBe("ENOTTY");
    }
  });
});

describe("IOVA_RANGES of an IOAS without a device", () => {
  it("is everything, with alignment 1", () => {
    const ioas = session.allocIoas(iommufd);
    expect(session.rangesAndAlignment(iommufd, ioas)).toEqual({ ranges: EVERYTHING, alignment: 1n });
  });

  it("says EMSGSIZE and how many there are to a caller without room or pointer", async () => {
    const argument = iommu_ioas_iova_ranges.encode({ ioas_id: session.allocIoas(iommufd) });
    expect(await call(IOMMU_IOAS_IOVA_RANGES, argument)).toBe("EMSGSIZE");
    expect(iommu_ioas_iova_ranges.decode(argument)).toMatchObject({ num_iovas: 1, out_iova_alignment: 1n });
  });

  it("says EFAULT to a bad pointer, and writes nothing back", async () => {
    const ioas = session.allocIoas(iommufd);
    for (const allowed_iovas of [0n, BAD_POINTER]) {
      const values = { ioas_id: ioas, num_iovas: 7, allowed_iovas, out_iova_alignment: 5n };
      const argument = iommu_ioas_iova_ranges.encode(values);
      expect(await call(IOMMU_IOAS_IOVA_RANGES, argument)).toBe("EFAULT");
      expect(iommu_ioas_iova_ranges.decode(argument)).toMatchObject(values);
    }
  });

  it("stays the same when ranges are allowed or mapped", () => {
    const ioas = session.allocIoas(iommufd);
    session.allow(iommufd, ioas, [[0x1000n, 0x1fffn]]);
    session.map(iommufd, ioas, 0x1000n, Buffer.alloc(0x1000));
    expect(session.ranges(iommufd, ioas)).toEqual(EVERYTHING);
  });
});

describe("ALLOW_IOVAS", () => {
  const cases: [string, Pair[], string][] = [
    ["an empty list", [], "OK"],
    ["everything", EVERYTHING, "OK"],
    [
      "ranges in any order",
      [
        [0x3000n, 0x3fffn],
        [0x1000n, 0x1fffn],
        [0x2000n, 0x27ffn],
      ],
      "OK",
    ],
    [
      "ranges that touch",
      [
        [0x1000n, 0x1fffn],
        [0x2000n, 0x2fffn],
      ],
      "OK",
    ],
    [
      "two bytes, anywhere",
      [
        [U64_MAX - 1n, U64_MAX],
        [1n, 2n],
      ],
      "OK",
    ],
    [
      "ranges that overlap",
      [
        [0x1000n, 0x1fffn],
        [0x1fffn, 0x2fffn],
      ],
      "EINVAL",
    ],
    [
      "a range within another",
      [
        [0x1000n, 0x9fffn],
        [0x2000n, 0x2fffn],
      ],
      "EINVAL",
    ],
    [
      "the same range twice",
      [
        [0x1000n, 0x1fffn],
        [0x1000n, 0x1fffn],
      ],
      "EINVAL",
    ],
    ["an inverted range", [[0x2000n, 0x1fffn]], "EINVAL"],
    ["a range of one byte", [[0x1000n, 0x1000n]], "EINVAL"],
  ];
  it.each(cases)("of %s", async (_what, ranges, expected) => {
    const ioas = session.allocIoas(iommufd);
    expect(await outcome(() => session.allow(iommufd, ioas, ranges))).toBe(expected);
  });

  it("says EFAULT to a bad pointer, but not when it need not read there", async () => {
    const ioas_id = session.allocIoas(iommufd);
    const allow = (num_iovas: number, allowed_iovas: bigint) =>
      call(IOMMU_IOAS_ALLOW_IOVAS, iommu_ioas_allow_iovas.encode({ ioas_id, num_iovas, allowed_iovas }));
    expect(await allow(1, 0n)).toBe("EFAULT");
    expect(await allow(1, BAD_POINTER)).toBe("EFAULT");
    expect(await allow(0, BAD_POINTER)).toBe("OK");
  });
});
