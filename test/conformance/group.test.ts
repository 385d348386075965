import { afterAll, afterEach, beforeEach, describe, expect, it } from "vitest";
import { cdevOf, kernelUnderTest, SIBLINGS } from "./kernel-under-test.ts";
import { ATTACHED, EVERYTHING, outcome, REPLACED, Session } from "./session.ts";

const { kernel, devices } = await kernelUnderTest();
const session = new Session(kernel, devices);

type Triple = [number, number, number];

let iommufd: number;
let ioas: number;
let bridge: number;
let first: number;
let second: number;

beforeEach(() => {
  iommufd = session.openIommufd();
  ioas = session.allocIoas(iommufd);
  [bridge, first, second] = SIBLINGS.map((device) => session.open(cdevOf(kernel, device))) as Triple;
});
afterEach(() => session.end());
afterAll(() => kernel.shutdown());

describe("the devices of one group", () => {
  it("can be bound in one context only, which is free again when all are closed", async () => {
    const other = session.openIommufd();
    await session.bind(first, iommufd);
    expect(await outcome(() => session.bind(second, other))).toBe("EPERM");
    expect(await session.bind(second, iommufd)).toBe(3);
    await session.close(first);
    expect(await outcome(() => session.bind(bridge, other))).toBe("EPERM");
    await session.close(second);
    expect(await session.bind(bridge, other)).toBe(1);
  });

  it("share one hwpt, and the IOAS is theirs until the last is detached", async () => {
    await session.bind(first, iommufd);
    await session.bind(second, iommufd);
    const hwpt = await session.attach(first, ioas);
    expect(await session.attach(second, ioas)).toBe(hwpt);
    await session.detach(first);
    expect(session.ranges(iommufd, ioas)).toEqual(ATTACHED);
    await session.detach(second);
    expect(session.ranges(iommufd, ioas)).toEqual(EVERYTHING);
  });

  it("cannot be attached to two IOASes", async () => {
    const other = session.allocIoas(iommufd);
    await session.bind(first, iommufd);
    await session.bind(second, iommufd);
    await session.attach(first, ioas);
    expect(await outcome(() => session.attach(second, other))).toBe("EINVAL");
    expect(session.ranges(iommufd, ioas)).toEqual(ATTACHED);
    expect(session.ranges(iommufd, other)).toEqual(EVERYTHING);
    expect(await outcome(() => session.destroy(iommufd, other))).toBe("OK");
    expect(await outcome(() => session.attach(second, ioas))).toBe("OK");
  });

  it("move together when an attached one is attached elsewhere", async () => {
    const other = session.allocIoas(iommufd);
    await session.bind(first, iommufd);
    await session.bind(second, iommufd);
    await session.attach(first, ioas);
    await session.attach(second, ioas);
    await session.attach(second, other);
    expect(session.ranges(iommufd, ioas)).toEqual(EVERYTHING);
    expect(await outcome(() => session.destroy(iommufd, ioas))).toBe("OK");
    await session.detach(second);
    expect(session.ranges(iommufd, other)).toEqual(REPLACED);
    await session.detach(first);
    expect(session.ranges(iommufd, other)).toEqual(EVERYTHING);
  });

  it("reserve what each attached one reports, but for direct-relaxable regions", async () => {
    await session.bind(bridge, iommufd);
    await session.attach(bridge, ioas);
    expect(session.ranges(iommufd, ioas)).toEqual(ATTACHED);
  });
});
