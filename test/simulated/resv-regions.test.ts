import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { reservedRegionsText } from "../../src/kernel/simulated/resv-regions.ts";
import type { TopologyRegion } from "../../src/kernel/simulated/topology.ts";

const U64_MAX = (1n << 64n) - 1n;
const TYPES = ["direct", "direct-relaxable", "reserved", "msi"];

const region = (start: number | bigint, last: number | bigint, type: string): TopologyRegion => ({
  start: BigInt(start),
  last: BigInt(last),
  type,
});

/** The file as [start, last, type] of each line. */
function linesOf(...devices: TopologyRegion[][]): [number, number, string][] {
  return reservedRegionsText(devices)
    .split("\n")
    .slice(0, -1)
    .map((line) => line.split(" "))
    .map(([start, last, type]) => [Number(start), Number(last), String(type)]);
}

describe("reserved_regions", () => {
  it("has a line for each region, padded to 64 bits", () => {
    expect(
      reservedRegionsText([[region(0xfee00000, 0xfeefffff, "msi"), region(0, U64_MAX, "reserved")]]),
    ).toBe("0x0000000000000000 0xffffffffffffffff reserved\n0x00000000fee00000 0x00000000feefffff msi\n");
  });

  it("is empty for a group that reserves nothing", () => {
    expect(reservedRegionsText([[], []])).toBe("");
  });

  it("is sorted by start, then by the kernel's order of types", () => {
    const regions = [
      region(9, 9, "direct"),
      region(5, 6, "msi"),
      region(5, 7, "reserved"),
      region(5, 8, "direct"),
      region(5, 5, "direct-relaxable"),
    ];
    const sorted = [
      [5, 8, "direct"],
      [5, 5, "direct-relaxable"],
      [5, 7, "reserved"],
      [5, 6, "msi"],
      [9, 9, "direct"],
    ];
    // 5 to 8 and 9 touch, and are of one type.
    const merged = [[5, 9, "direct"], ...sorted.slice(1, 4)];
    expect(linesOf(regions)).toEqual(merged);
    expect(linesOf(regions.slice(1))).toEqual(sorted.slice(0, 4));
  });

  it("shows regions of one type that overlap, touch or nest as one, from whichever devices", () => {
    const msi = (start: number, last: number) => region(start, last, "msi");
    expect(linesOf([msi(0, 4)], [msi(3, 8)])).toEqual([[0, 8, "msi"]]);
    expect(linesOf([msi(5, 8)], [msi(0, 4)])).toEqual([[0, 8, "msi"]]);
    expect(linesOf([msi(0, 9), msi(3, 4)])).toEqual([[0, 9, "msi"]]);
    expect(linesOf([msi(0, 3), msi(5, 9)])).toEqual([
      [0, 3, "msi"],
      [5, 9, "msi"],
    ]);
    expect(linesOf([msi(0, 3), msi(5, 9)], [msi(4, 4)])).toEqual([[0, 9, "msi"]]);
  });

  it("never merges types, so that lines may overlap and nest", () => {
    expect(linesOf([region(0, 9, "reserved"), region(2, 3, "msi"), region(4, 7, "reserved")])).toEqual([
      [0, 9, "reserved"],
      [2, 3, "msi"],
    ]);
    expect(linesOf([region(0, 3, "direct"), region(2, 9, "msi"), region(4, 5, "direct")])).toEqual([
      [0, 5, "direct"],
      [2, 9, "msi"],
    ]);
  });

  it("does not merge into a region that ends with the address space, where the end wraps", () => {
    const top = [region(U64_MAX - 9n, U64_MAX, "msi"), region(U64_MAX - 4n, U64_MAX, "msi")];
    expect(linesOf(top)).toHaveLength(2);
  });

  it("covers of each type what the devices' regions cover", () => {
    const anyRegion = fc
      .tuple(fc.nat(40), fc.nat(12), fc.constantFrom(...TYPES))
      .map(([start, length, type]) => region(start, start + length, type));
    fc.assert(
      fc.property(fc.array(fc.array(anyRegion, { maxLength: 6 }), { maxLength: 4 }), (devices) => {
        const lines = linesOf(...devices);
        for (const wanted of TYPES) {
          const ofType = lines.filter(([, , type]) => type === wanted);
          const linesAt = (point: number) =>
            ofType.filter(([start, last]) => start <= point && point <= last).length;
          const isCovered = (point: number) =>
            devices.flat().some((each) => each.type === wanted && within(point, each));
          const points = Array.from({ length: 60 }, (_, point) => point);
          expect(points.map(linesAt)).toEqual(points.map((point) => +isCovered(point)));
          ofType.slice(1).forEach(([start], index) => {
            expect(start).toBeGreaterThan((ofType[index]?.[1] ?? 0) + 1);
          });
        }
      }),
    );
  });

  it("ends where the page does, less its last byte, in the middle of a line", () => {
    const regions = Array.from({ length: 200 }, (_, index) => region(index * 2, index * 2, "msi"));
    const text = reservedRegionsText([regions]);
    expect(text).toHaveLength(4095);
    expect(text.split("\n")).toHaveLength(98);
    expect(text.endsWith("\n0x00000000000000c2 0x")).toBe(true);
    expect(reservedRegionsText([regions], { pageSize: 65536 }).split("\n")).toHaveLength(201);
    expect(reservedRegionsText([regions], { pageSize: 65536, isFull: true })).toHaveLength(65535);
  });
});

const within = (point: number, { start, last }: TopologyRegion) => start <= point && point <= last;
