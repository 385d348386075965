import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { IOMMU_IOAS_UNMAP, iommu_ioas_unmap } from "../../src/uapi/iommufd.ts";
import { kernelUnderTest } from "./kernel-under-test.ts";
import { ATTACHED, EVERYTHING, EXCLUDED, MSI_START, outcome, PAGE, Session, U64_MAX } from "./session.ts";

const { kernel, devices } = await kernelUnderTest();
const session = new Session(kernel, devices);
let iommufd: number;
let device: number;
let ioas: number;

beforeEach(async () => {
  iommufd = session.openIommufd();
  ioas = session.allocIoas(iommufd);
  device = session.openDevice(0);
  await session.bind(device, iommufd);
});
afterEach(() => session.end());
afterAll(() => kernel.shutdown());

const ranges = () => session.ranges(iommufd, ioas);
const attach = (to: number) => outcome(() => session.attach(device, to));

describe("the list of allowed ranges", () => {
  it("can be what IOVA_RANGES says, to the byte, and not more", async () => {
    await session.attach(device, ioas);
    session.allow(iommufd, ioas, ranges());
    const allow = (start: bigint, last: bigint) =>
      outcome(() => session.allow(iommufd, ioas, [[start, last]]));
    for (const [start, last] of EXCLUDED) {
      expect(await allow(start - 16n, start)).toBe("EADDRINUSE");
      expect(await allow(start + 16n, start + 31n)).toBe("EADDRINUSE");
      if (last < U64_MAX) expect(await allow(last, last + 16n)).toBe("EADDRINUSE");
    }
    expect(await allow(0x0n, 0x7fffffffffn)).toBe("EADDRINUSE");
    expect(await allow(MSI_START - 16n, MSI_START - 1n)).toBe("OK");
  });

  it("refuses a device whose reservations it does not leave free, which stays unattached", async () => {
    for (const [start] of EXCLUDED) {
      session.allow(iommufd, ioas, [[start - 1n, start]]);
      expect(await attach(ioas)).toBe("EADDRINUSE");
    }
    expect(session.rangesAndAlignment(iommufd, ioas)).toEqual({ ranges: EVERYTHING, alignment: 1n });
    expect(session.allocIoas(iommufd)).toBe(3);
    session.allow(iommufd, ioas, ATTACHED);
    expect(await attach(ioas)).toBe("OK");
    expect(ranges()).toEqual(ATTACHED);
  });

  it("stays as it was when a new one is refused", async () => {
    session.allow(iommufd, ioas, [[MSI_START, MSI_START + 0xfffn]]);
    const refused: [bigint, bigint][][] = [
      [[0x1000n, 0x1000n]],
      [
        [0x1000n, 0x2000n],
        [0x2000n, 0x3000n],
      ],
    ];
    for (const list of refused) {
      expect(await outcome(() => session.allow(iommufd, ioas, list))).toBe("EINVAL");
    }
    expect(await attach(ioas)).toBe("EADDRINUSE");
    session.allow(iommufd, ioas, []);
    expect(await attach(ioas)).toBe("OK");
    expect(await outcome(() => session.allow(iommufd, ioas, [[MSI_START, MSI_START + 0xfffn]]))).toBe(
      "EADDRINUSE",
    );
  });

  it("does not follow a device that is detached", async () => {
    session.allow(iommufd, ioas, [[0x1000n, 0x1fffn]]);
    await session.attach(device, ioas);
    await session.detach(device);
    session.allow(iommufd, ioas, [[MSI_START, MSI_START + 0xfffn]]);
    expect(await attach(ioas)).toBe("EADDRINUSE");
  });
});

describe("a mapping", () => {
  it.each([
    ...EXCLUDED.map(
      ([start]) => [`at 0x${start.toString(16)}, excluded by the device,`, start, Number(PAGE)] as const,
    ),
    ["not aligned to the IOMMU's page", 0x1001n, 64] as const,
  ])("%s refuses the device until it is unmapped", async (_where, iova, length) => {
    session.map(iommufd, ioas, iova, Buffer.alloc(length));
    expect(await attach(ioas)).toBe("EADDRINUSE");
    expect(session.rangesAndAlignment(iommufd, ioas)).toEqual({ ranges: EVERYTHING, alignment: 1n });
    const unmap = iommu_ioas_unmap.encode({ ioas_id: ioas, iova, length: BigInt(length) });
    session.ioctl(iommufd, IOMMU_IOAS_UNMAP, unmap);
    expect(await attach(ioas)).toBe("OK");
  });

  it("in a reserved range is EINVAL while the device is attached", async () => {
    await session.attach(device, ioas);
    for (const [start] of EXCLUDED) {
      expect(await outcome(() => session.map(iommufd, ioas, start, Buffer.alloc(Number(PAGE))))).toBe(
        "EINVAL",
      );
    }
  });
});
