import { describe, expect, it } from "vitest";
import { EVERYTHING, outcome, U64_MAX } from "../conformance/session.ts";
import { sessionOn } from "./session-on.ts";

const REGION = { start: "0x1000", last: "0x1fff", type: "reserved" };
const RESERVED = [
  [0n, 0xfffn],
  [0x2000n, U64_MAX],
];

/** A slow device, vfio0, and one without latency, vfio1. */
const host = (latency: object) =>
  sessionOn({
    iommus: [{ name: "dmar0" }],
    devices: [
      { device: "a", iommu: "dmar0", driver: "vfio-pci", regions: [REGION], "latency-ms": latency },
      { device: "b", iommu: "dmar0", driver: "vfio-pci" },
    ],
  });

describe("a slow call", () => {
  it("does what it does at its end, and nothing before", async () => {
    const session = host({ attach: 20, detach: 20, close: 20 });
    const iommufd = session.openIommufd();
    const ioas = session.allocIoas(iommufd);
    const device = session.openDevice(0);
    await session.bind(device, iommufd);

    const attached = session.attach(device, ioas);
    expect(session.ranges(iommufd, ioas)).toEqual(EVERYTHING);
    await attached;
    expect(session.ranges(iommufd, ioas)).toEqual(RESERVED);

    const detached = session.detach(device);
    expect(session.ranges(iommufd, ioas)).toEqual(RESERVED);
    await detached;
    expect(session.ranges(iommufd, ioas)).toEqual(EVERYTHING);

    await session.attach(device, ioas);
    const closed = session.close(device);
    expect(session.ranges(iommufd, ioas)).toEqual(RESERVED);
    expect(await outcome(() => session.kernel.close(device))).toBe("EBADF");
    await closed;
    expect(session.ranges(iommufd, ioas)).toEqual(EVERYTHING);
  });

  it("keeps later calls for its device waiting, in order, and those for others not", async () => {
    const session = host({ bind: 30, attach: 10 });
    const iommufd = session.openIommufd();
    const ioas = session.allocIoas(iommufd);
    const [slow, fast] = [session.openDevice(0), session.openDevice(1)];
    const done: string[] = [];
    const note = (name: string) => () => done.push(name);
    await Promise.all([
      session.bind(slow, iommufd).then(note("slow bind")),
      session.attach(slow, ioas).then(note("slow attach")),
      session.detach(slow).then(note("slow detach")),
      session.bind(fast, iommufd).then(note("fast bind")),
      session.attach(fast, ioas).then(note("fast attach")),
    ]);
    expect(done).toEqual(["fast bind", "fast attach", "slow bind", "slow attach", "slow detach"]);
  });

  it("finishes on a file that is closed meanwhile, which is then released", async () => {
    const session = host({ bind: 20 });
    const iommufd = session.openIommufd();
    const device = session.openDevice(0);
    const bound = session.bind(device, iommufd);
    await session.close(device);
    expect(session.kernel.openFds()).toEqual([{ fd: iommufd, path: "/dev/iommu" }]);
    expect(await bound).toBe(1);
    expect(await session.bind(session.openDevice(0), iommufd)).toBe(1);
  });

  it("is waited for by shutdown", async () => {
    const session = host({ bind: 20 });
    const iommufd = session.openIommufd();
    const bound = session.bind(session.openDevice(0), iommufd);
    await session.kernel.shutdown();
    expect(session.allocIoas(iommufd)).toBe(2);
    expect(await bound).toBe(1);
  });
});

describe("closing a file that has not bound its device", () => {
  it("does not wait for the device", async () => {
    const session = host({ bind: 20, close: 20 });
    const iommufd = session.openIommufd();
    const [first, second] = [session.openDevice(0), session.openDevice(0)];
    let bound = false;
    const bind = session.bind(first, iommufd).then(() => {
      bound = true;
    });
    await session.close(second);
    expect(bound).toBe(false);
    await bind;
  });
});
