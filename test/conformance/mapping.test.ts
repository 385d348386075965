import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  IOMMU_IOAS_MAP,
  IOMMU_IOAS_MAP_READABLE,
  IOMMU_IOAS_UNMAP,
  IOMMU_OPTION,
  IOMMU_OPTION_HUGE_PAGES,
  IOMMU_OPTION_OP_GET,
  IOMMU_OPTION_OP_SET,
  IOMMU_OPTION_RLIMIT_MODE,
  iommu_ioas_map,
  iommu_ioas_unmap,
  iommu_option,
} from "../../src/uapi/iommufd.ts";
import { kernelUnderTest } from "./kernel-under-test.ts";
import { outcome, PAGE, Session, U64_MAX } from "./session.ts";

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

describe("MAP and UNMAP", () => {
  it("take an address once, and give it back", async () => {
    const ioas = session.allocIoas(iommufd);
    const memory = Buffer.alloc(0x1000);
    expect(session.map(iommufd, ioas, 0x5000n, memory)).toBe(0x5000n);
    expect(await outcome(() => session.map(iommufd, ioas, 0x5fffn, memory))).toBe("EEXIST");
    const argument = iommu_ioas_unmap.encode({ ioas_id: ioas, iova: 0x4000n, length: 0x4000n });
    expect(await call(IOMMU_IOAS_UNMAP, argument)).toBe("OK");
    expect(iommu_ioas_unmap.decode(argument).length).toBe(0x1000n);
    expect(session.map(iommufd, ioas, 0x5fffn, memory)).toBe(0x5fffn);
  });

  it("do not cut a mapping", async () => {
    const ioas = session.allocIoas(iommufd);
    session.map(iommufd, ioas, 0x5000n, Buffer.alloc(0x1000));
    const unmap = (iova: bigint, length: bigint) =>
      call(IOMMU_IOAS_UNMAP, iommu_ioas_unmap.encode({ ioas_id: ioas, iova, length }));
    expect(await unmap(0x5000n, 0xfffn)).toBe("ENOENT");
    expect(await unmap(0x5001n, 0xfffn)).toBe("ENOENT");
    expect(await unmap(0n, U64_MAX)).toBe("OK");
    expect(await unmap(0n, U64_MAX)).toBe("OK");
  });

  it("refuse lengths and addresses that cannot be", async () => {
    const ioas = session.allocIoas(iommufd);
    const flags = IOMMU_IOAS_MAP_READABLE | 1;
    const map = (values: object) =>
      call(IOMMU_IOAS_MAP, iommu_ioas_map.encode({ ioas_id: ioas, flags, ...values }));
    expect(await map({ length: 0n })).toBe("EINVAL");
    expect(await map({ length: 0x1000n, flags: 1 })).toBe("EINVAL");
    expect(await map({ length: U64_MAX })).toBe("EOVERFLOW");
    expect(await map({ length: 0x1000n, iova: U64_MAX })).toBe("EOVERFLOW");
    expect(await map({ length: 0x1000n, iova: U64_MAX - 1n })).toBe("EOVERFLOW");
    const unmap = (iova: bigint, length: bigint) =>
      call(IOMMU_IOAS_UNMAP, iommu_ioas_unmap.encode({ ioas_id: ioas, iova, length }));
    expect(await unmap(0x1000n, 0n)).toBe("EINVAL");
    expect(await unmap(0x1000n, U64_MAX)).toBe("EOVERFLOW");
    expect(await unmap(U64_MAX - 1n, 0x1000n)).toBe("EOVERFLOW");
  });

  it("choose addresses only from the list of allowed ranges, which an address of the caller's need not heed", async () => {
    const ioas = session.allocIoas(iommufd);
    session.allow(iommufd, ioas, [[0x100000n, 0x100000n + 3n * PAGE - 1n]]);
    const memory = Buffer.alloc(Number(PAGE));
    const iova = session.map(iommufd, ioas, undefined, memory);
    expect(iova).toBeGreaterThanOrEqual(0x100000n);
    expect(iova).toBeLessThanOrEqual(0x100000n + 2n * PAGE);
    expect(await outcome(() => session.map(iommufd, ioas, undefined, Buffer.alloc(4 * Number(PAGE))))).toBe(
      "ENOSPC",
    );
    expect(session.map(iommufd, ioas, 0x900000n, memory)).toBe(0x900000n);
  });
});

describe("OPTION", () => {
  const option = (values: object) => {
    const argument = iommu_option.encode(values);
    session.ioctl(iommufd, IOMMU_OPTION, argument);
    return iommu_option.decode(argument).val64;
  };
  const get = { op: IOMMU_OPTION_OP_GET };
  const set = { op: IOMMU_OPTION_OP_SET };

  it("HUGE_PAGES off makes the alignment a page, and on undoes it", async () => {
    const ioas = session.allocIoas(iommufd);
    const huge = { option_id: IOMMU_OPTION_HUGE_PAGES, object_id: ioas };
    expect(option({ ...huge, ...get })).toBe(1n);
    option({ ...huge, ...set, val64: 0n });
    expect(option({ ...huge, ...get })).toBe(0n);
    expect(session.rangesAndAlignment(iommufd, ioas).alignment).toBe(PAGE);
    option({ ...huge, ...set, val64: 1n });
    expect(session.rangesAndAlignment(iommufd, ioas).alignment).toBe(1n);
    expect(await outcome(() => option({ ...huge, ...set, val64: 2n }))).toBe("EINVAL");
    expect(await outcome(() => option({ ...huge, op: 2 }))).toBe("EOPNOTSUPP");
  });

  it("HUGE_PAGES off is refused with EADDRINUSE when a mapping is not aligned to a page", async () => {
    const ioas = session.allocIoas(iommufd);
    session.map(iommufd, ioas, 0x1001n, Buffer.alloc(64));
    const huge = { option_id: IOMMU_OPTION_HUGE_PAGES, object_id: ioas };
    expect(await outcome(() => option({ ...huge, ...set, val64: 0n }))).toBe("EADDRINUSE");
    expect(option({ ...huge, ...get })).toBe(1n);
  });

  it("RLIMIT_MODE can be set while the context is empty", async () => {
    const mode = { option_id: IOMMU_OPTION_RLIMIT_MODE };
    expect(option({ ...mode, ...get })).toBe(0n);
    option({ ...mode, ...set, val64: 1n });
    expect(option({ ...mode, ...get })).toBe(1n);
    expect(await outcome(() => option({ ...mode, ...set, val64: 2n }))).toBe("EINVAL");
    expect(await outcome(() => option({ ...mode, ...get, object_id: 1 }))).toBe("EOPNOTSUPP");
    session.allocIoas(iommufd);
    expect(await outcome(() => option({ ...mode, ...set, val64: 0n }))).toBe("EBUSY");
  });
});
