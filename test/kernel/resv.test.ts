import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Client } from "../../src/client/index.ts";
import { Iommufd } from "../../src/kernel/iommufd.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { cdevOf, kernelUnderTest } from "../conformance/kernel-under-test.ts";
import { Session } from "../conformance/session.ts";
import { Daemon } from "../daemon/daemon.ts";
import { endUnsurprised, openDevices, secondOpinion } from "./guest.ts";
import { randomRun } from "./seed.ts";

const RESV_IOVA_RANGES = 0x3bb0;
/** Has regions besides the driver's, from the kernel's command line: see boots. */
const CROWDED = "0000:00:05.0";
const PLAIN = "0000:00:06.0";
/** Has a 1:1 region. */
const DIRECT = "0000:00:07.0";

describe("a daemon that is told the ioctl's number", () => {
  let daemon: Daemon;
  let client: Client;

  beforeAll(async () => {
    daemon = await Daemon.start({ args: ["--resv-iova-ranges-ioctl", "0x3bb0"] });
    client = await daemon.client();
  });
  afterAll(async () => {
    await endUnsurprised(daemon);
  });

  const reserved = (device: string) => client.call("query-reserved-ranges", { device });

  it("answers with the kernel's list of a held device, normalised, and with sysfs for the others", async () => {
    expect(await client.call("query-status")).toMatchObject({ kernel: { "resv-iova-ranges": true } });
    expect(await reserved(CROWDED)).toMatchObject({ source: "sysfs", scope: "group" });

    await client.call("hold-device", { device: CROWDED });
    const answer = await reserved(CROWDED);
    expect(answer).toMatchObject({
      source: "resv-iova-ranges",
      scope: "device",
      regions: [
        { start: "0x40000000", last: "0x400017ff", type: "reserved", enforced: true },
        { start: "0x50000000", last: "0x50000fff", type: "direct-relaxable", enforced: false },
        { start: "0xfee00000", last: "0xfeefffff", type: "msi", enforced: true },
      ],
      reserved: [
        { start: "0x40000000", last: "0x400017ff" },
        { start: "0xfee00000", last: "0xfeefffff" },
        { start: "0x8000000000", last: "0xffffffffffffffff" },
      ],
    });
    expect(await reserved(PLAIN)).toMatchObject({ source: "sysfs" });

    const { ioas } = await client.call("create-ioas");
    await client.call("attach-device", { device: CROWDED, ioas });
    const { ranges } = await client.call("invert-ranges", {
      ranges: answer.reserved,
    });
    expect(secondOpinion(daemon, ioas).ranges).toEqual(ranges);

    await client.call("release-device", { device: CROWDED });
    expect((await reserved(CROWDED)).reserved).toEqual(answer.reserved);
    await client.call("destroy-ioas", { ioas });
  });

  it("says which 1:1 region keeps a device from user space, before and after the attempt", async () => {
    const region = { start: "0x60000000", last: "0x60000fff", type: "direct", enforced: true };
    const blockers = [{ reason: "direct-mapping", region, devices: [DIRECT] }];
    expect(await client.call("query-devices", { device: DIRECT })).toMatchObject({
      devices: [{ assignable: false, blockers }],
    });
    for (const method of ["hold-device", "probe-device"]) {
      await expect(client.request(method, { device: DIRECT })).rejects.toMatchObject({
        data: { class: "DeviceBlocked", errno: "EINVAL", blockers },
      });
    }
    expect(openDevices(daemon.pid)).toEqual(["/dev/iommu"]);
  });
});

describe("whatever a driver lists", async () => {
  const EXTRA = "/sys/module/iommu/parameters/extra_resv";
  const { kernel, devices } = await kernelUnderTest();
  const session = new Session(kernel, devices);
  const before = readFileSync(EXTRA);
  afterAll(async () => {
    writeFileSync(EXTRA, before);
    await session.end();
    await kernel.shutdown();
  });

  const U64_MAX = (1n << 64n) - 1n;
  /** Among them touching ones, the ends of the address space and of the aperture, and single bytes. */
  const start = fc.oneof(
    fc.bigInt({ min: 0n, max: 0xffffn }),
    fc.constantFrom(0n, 0xfedffffffn, 0xfef00000n, 0x7ffffff000n, 0x8000000000n, U64_MAX),
    fc.bigInt({ min: 0n, max: U64_MAX }),
  );
  const region = fc
    .record({
      start,
      length: fc.oneof(fc.bigInt({ min: 1n, max: 0x1000n }), fc.bigInt({ min: 1n, max: 1n << 40n })),
      // direct-relaxable, reserved, msi
      type: fc.constantFrom(1, 2, 3),
    })
    .filter(({ start, length }) => start + length - 1n <= U64_MAX);

  it("the ioctl lists what an attach takes out of an IOAS, apart from the aperture", {
    timeout: 120_000,
  }, async () => {
    const outside = RangeSet.from([{ start: 0x8000000000n, last: U64_MAX }]);
    const iommufd = new Iommufd(kernel, session.openIommufd());
    const device = session.open(cdevOf(kernel, PLAIN));
    const id = await session.bind(device, iommufd.fd);
    await fc.assert(
      fc.asyncProperty(fc.array(region, { maxLength: 40 }), async (regions) => {
        const lines = regions.map(
          (each) => `${PLAIN},${each.start.toString(16)},${each.length.toString(16)},${each.type}`,
        );
        writeFileSync(EXTRA, lines.join(";"));
        const listed = await iommufd.resvIovaRanges(RESV_IOVA_RANGES, id);
        const ioas = iommufd.allocIoas();
        await session.attach(device, ioas);
        const { ranges } = await iommufd.iovaRanges(ioas);
        await session.detach(device);
        iommufd.destroy(ioas);
        expect([...listed.union(outside).invert()]).toEqual([...ranges]);
        expect(listed.size).toBeGreaterThan(0);
      }),
      { ...randomRun("regions of a driver", 60_000), numRuns: 200 },
    );
  });
});
