import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { IOMMUFD_STRUCTS, iommu_ioas_iova_ranges, iommu_iova_range } from "../../src/uapi/iommufd.ts";
import { s32, struct, u16, u64 } from "../../src/uapi/struct.ts";
import { VFIO_STRUCTS, vfio_device_bind_iommufd } from "../../src/uapi/vfio.ts";

/** Any values that fit the fields of a struct. */
function valuesOf(table: (typeof IOMMUFD_STRUCTS)[number] | (typeof VFIO_STRUCTS)[number]) {
  return fc.record(
    Object.fromEntries(
      Object.entries(table.fields).map(([member, { width, read }]) => {
        const probe = read(Buffer.alloc(8, 0xff), 0);
        if (typeof probe === "bigint") return [member, fc.bigInt(0n, (1n << 64n) - 1n)];
        return [member, probe < 0 ? fc.integer() : fc.nat(2 ** (8 * width) - 1)];
      }),
    ) as Record<string, fc.Arbitrary<number | bigint>>,
  );
}

describe("encode and decode", () => {
  it.each([...IOMMUFD_STRUCTS, ...VFIO_STRUCTS].map((table) => [table.name, table] as const))(
    "give back the values of any %s",
    (_name, table) => {
      fc.assert(
        fc.property(valuesOf(table), (values) => {
          const bytes = table.encode(values as object);
          expect(bytes.length).toBe(table.size);
          expect(table.decode(bytes)).toEqual(values);
        }),
      );
    },
  );

  it("lay the members out little-endian at their offsets", () => {
    const bytes = iommu_ioas_iova_ranges.encode({
      ioas_id: 0x01020304,
      out_iova_alignment: 0x1122334455667788n,
    });
    expect(bytes.toString("hex")).toBe(
      "20000000" + "04030201" + "00000000" + "00000000" + "0000000000000000" + "8877665544332211",
    );
  });

  it("fill in the struct's own size, or the size they are given", () => {
    expect(vfio_device_bind_iommufd.encode().readUInt32LE(0)).toBe(16);
    expect(vfio_device_bind_iommufd.encode({ argsz: 15 }).readUInt32LE(0)).toBe(15);
    expect(iommu_iova_range.encode()).toEqual(Buffer.alloc(16));
  });

  it("read from the middle of a larger buffer, as an adapter may hand it over", () => {
    const memory = new Uint8Array(40);
    memory.set(iommu_iova_range.encode({ start: 1n, last: 2n }), 8);
    expect(iommu_iova_range.decode(memory.subarray(8, 24))).toEqual({ start: 1n, last: 2n });
  });

  it("refuse a value that does not fit and a struct cut short", () => {
    const odd = struct("odd", 16, { short: u16(0), signed: s32(4), long: u64(8) });
    expect(() => odd.encode({ short: 0x10000 })).toThrow(RangeError);
    expect(() => odd.encode({ signed: 0x80000000 })).toThrow(RangeError);
    expect(() => odd.encode({ long: 1n << 64n })).toThrow(RangeError);
    expect(() => odd.encode({ long: -1n })).toThrow(RangeError);
    expect(() => odd.decode(new Uint8Array(15))).toThrow(RangeError);
  });

  it("do arrays of structs, whole or the first few", () => {
    const ranges = [
      { start: 0n, last: 5n },
      { start: 7n, last: (1n << 64n) - 1n },
    ];
    const bytes = iommu_iova_range.encodeArray(ranges);
    expect(bytes.length).toBe(32);
    expect(iommu_iova_range.decodeArray(bytes)).toEqual(ranges);
    expect(iommu_iova_range.decodeArray(bytes, 1)).toEqual(ranges.slice(0, 1));
    expect(() => iommu_iova_range.decodeArray(bytes, 3)).toThrow(RangeError);
  });
});
