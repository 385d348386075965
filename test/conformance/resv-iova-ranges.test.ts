import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { iommu_iova_range } from "../../src/uapi/iommufd.ts";
import { iommu_resv_iova_ranges } from "../../src/uapi/resv-iova-ranges.ts";
import { DEVICES, kernelUnderTest } from "./kernel-under-test.ts";
import { onlyWhere } from "./only-where.ts";
import { outcome, type Pair, Session } from "./session.ts";

/** The number that test/kernel/resv-1-ioctl.patch gives the proposed IOMMU_RESV_IOVA_RANGES. */
const RESV_IOVA_RANGES = 0x3bb0;

const driver = "vfio-pci";
const MSI = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
/** The lab's boot "resv": the first device has regions besides its driver's, in no order. */
const TOPOLOGY = {
  kernel: { "resv-iova-ranges": true },
  iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } }],
  devices: [
    {
      device: DEVICES[0],
      iommu: "dmar0",
      driver,
      regions: [
        MSI,
        { start: "0x40000800", last: "0x400017ff", type: "reserved" },
        { start: "0x40000000", last: "0x40000fff", type: "reserved" },
        { start: "0x50000000", last: "0x50000fff", type: "direct-relaxable" },
      ],
    },
    { device: DEVICES[1], iommu: "dmar0", driver, regions: [MSI] },
  ],
};

/** As the driver lists them: not sorted, not merged, without what is not enforced. */
const LISTED: Pair[] = [
  [0xfee00000n, 0xfeefffffn],
  [0x40000800n, 0x400017ffn],
  [0x40000000n, 0x40000fffn],
];
const bytes = iommu_iova_range.encodeArray(LISTED.map(([start, last]) => ({ start, last })));

// No mainline kernel has the ioctl: the boot `resv` has it patched in, and the others are to have none.
const isPatched = process.env.IOVAD_KERNEL !== "linux" || process.env.IOVAD_LAB_BOOT === "resv";

describe("RESV_IOVA_RANGES", onlyWhere(isPatched, "the proposed ioctl"), async () => {
  const { kernel, devices } = await kernelUnderTest(TOPOLOGY);
  const session = new Session(kernel, devices);
  let iommufd: number;
  let device: number;
  let id: number;

  beforeEach(async () => {
    iommufd = session.openIommufd();
    device = session.openDevice(0);
    id = await session.bind(device, iommufd);
  });
  afterEach(() => session.end());
  afterAll(() => kernel.shutdown());

  const { fields } = iommu_resv_iova_ranges;
  const offset = fields.resv_iovas.offset;
  const encode = (values: object) => iommu_resv_iova_ranges.encode({ dev_id: id, num_iovas: 8, ...values });
  const call = (argument: Uint8Array, target: Uint8Array = Buffer.alloc(8 * 16)) =>
    outcome(() => session.ioctl(iommufd, RESV_IOVA_RANGES, argument, { offset, target }));

  it.each([0, 1, 2])("fills an array of %i, leaves the rest alone and says EMSGSIZE", async (capacity) => {
    const argument = encode({ num_iovas: capacity });
    const target = Buffer.alloc(bytes.length, 0xa5);
    expect(await call(argument, target)).toBe("EMSGSIZE");
    expect(iommu_resv_iova_ranges.decode(argument).num_iovas).toBe(3);
    const kept = capacity * iommu_iova_range.size;
    expect(target.subarray(0, kept)).toEqual(bytes.subarray(0, kept));
    expect(target.subarray(kept)).toEqual(Buffer.alloc(bytes.length - kept, 0xa5));
  });

  it.each([3, 4])(
    "lists what the kernel enforces, as the driver does, with room for %i",
    async (capacity) => {
      const argument = encode({ num_iovas: capacity });
      const target = Buffer.alloc(4 * iommu_iova_range.size, 0xa5);
      expect(await call(argument, target)).toBe("OK");
      expect(iommu_resv_iova_ranges.decode(argument).num_iovas).toBe(3);
      expect(target.subarray(0, bytes.length)).toEqual(bytes);
      expect(target.subarray(bytes.length)).toEqual(Buffer.alloc(iommu_iova_range.size, 0xa5));
    },
  );

  it("needs no room to say how many there are", async () => {
    const argument = encode({ num_iovas: 0 });
    expect(await outcome(() => session.ioctl(iommufd, RESV_IOVA_RANGES, argument))).toBe("EMSGSIZE");
    expect(iommu_resv_iova_ranges.decode(argument).num_iovas).toBe(3);
  });

  it("takes the id of a device of its context, and no other", async () => {
    const ioas = session.allocIoas(iommufd);
    for (const dev_id of [0, 77, 0xffffffff, ioas]) expect(await call(encode({ dev_id }))).toBe("ENOENT");
    const elsewhere = session.openIommufd();
    const argument = encode({});
    expect(await outcome(() => session.ioctl(elsewhere, RESV_IOVA_RANGES, argument))).toBe("ENOENT");
  });

  it("refuses a struct that is not well-formed", async () => {
    expect(await call(encode({ __reserved: 1 }))).toBe("EOPNOTSUPP");
    expect(await call(encode({ size: 23 }))).toBe("EINVAL");
    const longer = Buffer.concat([encode({ size: 32 }), Buffer.alloc(8)]);
    expect(await call(longer)).toBe("OK");
    longer.writeUInt8(1, 31);
    expect(await call(longer)).toBe("E2BIG");
    const argument = encode({ resv_iovas: 8n });
    expect(await outcome(() => session.ioctl(iommufd, RESV_IOVA_RANGES, argument))).toBe("EFAULT");
    expect(iommu_resv_iova_ranges.decode(argument).num_iovas).toBe(8);
  });

  it("is the only command up there", async () => {
    const argument = encode({});
    for (const request of [0x3ba1, RESV_IOVA_RANGES - 1, RESV_IOVA_RANGES + 1]) {
      expect(await outcome(() => session.ioctl(iommufd, request, argument))).toBe("ENOTTY");
    }
  });

  it("lists what an attach takes out of an IOAS, but for the aperture", async () => {
    const ioas = session.allocIoas(iommufd);
    await session.attach(device, ioas);
    expect(session.ranges(iommufd, ioas)).toEqual([
      [0n, 0x3fffffffn],
      [0x40001800n, 0xfedfffffn],
      [0xfef00000n, 0x7fffffffffn],
    ]);
  });
});

describe("RESV_IOVA_RANGES", onlyWhere(!isPatched, "a kernel without the proposed ioctl"), () => {
  it("is no command of a kernel without the patch", async () => {
    const { kernel } = await kernelUnderTest();
    const iommufd = kernel.open("/dev/iommu");
    const argument = iommu_resv_iova_ranges.encode({ dev_id: 1 });
    expect(await outcome(() => kernel.ioctl(iommufd, RESV_IOVA_RANGES, argument))).toBe("ENOTTY");
    await kernel.close(iommufd);
    await kernel.shutdown();
  });
});
