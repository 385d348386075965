import { describe, expect, it } from "vitest";
import type { Reserved } from "../../src/host/knowledge/reserved.ts";
import type { PlatformDevice } from "../../src/host/platform/platform.ts";
import { makePlan } from "../../src/plan/plan.ts";
import { deviceSource, hostSource, ioasSource } from "../../src/plan/sources.ts";
import { FULL } from "../../src/ranges/range.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { finish } from "../../src/ranges/steps.ts";

const NIC: PlatformDevice = {
  device: "0000:00:01.0",
  group: 7,
  driver: "vfio-pci",
  vfioDevice: "vfio0",
  cdev: true,
  iommu: "dmar0",
  noIommu: false,
  pci: null,
  numaNode: null,
};
const MSI = { start: 0xfee00000n, last: 0xfeefffffn, type: "msi", enforced: true };
const ISA = { start: 0n, last: 0xffffffn, type: "direct-relaxable", enforced: false };

/** A device that the kernel has told everything of; changed as a test needs it. */
function known(changes: Partial<Reserved> = {}, platform: Partial<PlatformDevice> = {}) {
  const reserved: Reserved = {
    source: "probe",
    backend: "iommufd",
    scope: "device",
    regions: [ISA, MSI],
    truncated: false,
    excluded: RangeSet.from([MSI]),
    uncertain: RangeSet.EMPTY,
    aperture: FULL,
    apertureSource: "probe",
    alignment: 4096n,
    cached: true,
    generation: 1,
    ...changes,
  };
  return { platform: { ...NIC, ...platform }, reserved };
}

describe("a device", () => {
  it("claims its enforced regions, what lies outside its aperture, and nothing that may be mapped over", () => {
    const aperture = { start: 0n, last: 0x7fffffffffn };
    const outside = { start: 0x8000000000n, last: 2n ** 64n - 1n };
    const device = known({ aperture, excluded: RangeSet.from([MSI, outside]) });
    const cause = { device: NIC.device, group: 7 };
    expect(deviceSource(device)).toEqual({
      alignment: 4096n,
      claims: [
        { start: MSI.start, last: MSI.last, cause: { ...cause, kind: "region", type: "msi" } },
        { ...outside, cause: { ...cause, kind: "aperture" } },
      ],
    });
  });

  it("that excludes more than its regions and aperture explain has that reserved elsewhere", () => {
    const more = { start: 0x1000n, last: 0x1fffn };
    const { claims } = deviceSource(known({ excluded: RangeSet.from([MSI, more]) }));
    expect(claims.at(-1)).toEqual({
      ...more,
      cause: { device: NIC.device, group: 7, kind: "reserved-elsewhere" },
    });
  });

  it("claims of a region only the part that the kernel excludes for it", () => {
    const part = { start: MSI.start, last: MSI.start + 0xfffn };
    const { claims } = deviceSource(known({ excluded: RangeSet.from([part]) }));
    expect(claims).toMatchObject([part]);
  });

  it.each<[string, Partial<Reserved>]>([
    ["the kernel cut its list short", { truncated: true }],
    ["a region may be a sibling's", { excluded: RangeSet.EMPTY, uncertain: RangeSet.from([MSI]) }],
    ["its aperture is an estimate", { apertureSource: "estimate" }],
    ["nobody knows its aperture", { apertureSource: "unknown", aperture: null }],
  ])("is not exact when %s, and claims the region all the same", (_when, changes) => {
    const source = deviceSource(known(changes));
    expect(source.gap).toEqual({ device: NIC.device, state: "ready" });
    expect(source.claims).toMatchObject([{ start: MSI.start, last: MSI.last }]);
  });

  it("tells whether a probe could close the gap", () => {
    const gap = { apertureSource: "unknown", aperture: null } as const;
    const direct = { ...MSI, type: "direct" };
    expect(deviceSource(known(gap, { vfioDevice: null, driver: null })).gap).toMatchObject({
      state: "unbound",
    });
    const blocked = known({ ...gap, regions: [direct], excluded: RangeSet.from([direct]) });
    expect(deviceSource(blocked).gap).toMatchObject({ state: "blocked" });
  });
});

describe("a device without an IOMMU", () => {
  it("has no address, whatever is told of it, and no probe would tell more", () => {
    for (const changes of [{}, { apertureSource: "unknown", aperture: null } as const]) {
      const source = deviceSource(known(changes, { noIommu: true }));
      expect(source.claims).toEqual([{ ...FULL, cause: { device: NIC.device, group: 7, kind: "aperture" } }]);
      expect(source.gap).toEqual({ device: NIC.device, state: "blocked" });
    }
  });
});

describe("an IOAS", () => {
  it("is what the kernel says, whatever its devices would claim", () => {
    const source = finish(ioasSource(RangeSet.ALL, 1n, [known()]));
    expect(source).toEqual({ claims: [], alignment: 1n });
  });

  it("has the rest reserved elsewhere, by nobody that we know", () => {
    const { claims } = finish(ioasSource(RangeSet.from([MSI]).invert(), 4096n, []));
    expect(claims).toEqual([{ start: MSI.start, last: MSI.last, cause: { kind: "reserved-elsewhere" } }]);
  });
});

describe("another host", () => {
  const allowed = RangeSet.from([{ start: 0n, last: 9n }]);

  it("forbids what it does not allow", () => {
    expect(finish(hostSource({ host: "b", allowed, alignment: null, exact: true }))).toEqual({
      claims: [{ start: 10n, last: 2n ** 64n - 1n, cause: { kind: "host", host: "b" } }],
      alignment: null,
    });
  });

  it("makes a plan inexact unless it vouches for its list", () => {
    const source = finish(hostSource({ host: "b", allowed, alignment: null, exact: false }));
    expect(finish(makePlan([source]))).toMatchObject({
      exact: false,
      hint: expect.stringContaining("host b"),
    });
  });
});

describe("a plan", () => {
  it("of no source allows everything, exactly", () => {
    const plan = finish(makePlan([]));
    expect(plan).toMatchObject({ alignment: null, exact: true });
    expect(plan.ranges.equals(RangeSet.ALL)).toBe(true);
  });

  it("has the strictest alignment that is known", () => {
    const host = (alignment: bigint | null) =>
      finish(hostSource({ host: "b", allowed: RangeSet.ALL, alignment, exact: true }));
    const sources = [host(4096n), host(null), host(65536n), host(1n)];
    expect(finish(makePlan(sources)).alignment).toBe(65536n);
  });
});
