import { describe, expect, it } from "vitest";
import { estimateAperture, type IommuTraits } from "../../src/host/platform/aperture-estimate.ts";

const NOTHING: IommuTraits = { cap: null, ecap: null, features: null, ivrs: null, commandLine: null };

/** The width of the estimate in bits. */
function bits(traits: Partial<IommuTraits>): number | null {
  const aperture = estimateAperture({ ...NOTHING, ...traits });
  expect(aperture?.start ?? 0n).toBe(0n);
  return aperture === null ? null : (aperture.last + 1n).toString(2).length - 1;
}

/** VT-d's registers by the names of their fields; `mgaw` in bits, `sagaw` as it stands there. */
const cap = (mgaw: number, sagaw: number, isFiveLevel = false) =>
  ((BigInt(mgaw - 1) << 16n) | (BigInt(sagaw) << 8n) | (BigInt(isFiveLevel) << 60n)).toString(16);
const SCALABLE = ((1n << 43n) | (1n << 46n) | (1n << 47n)).toString(16);
const SECOND_STAGE_ONLY = ((1n << 43n) | (1n << 46n)).toString(16);
const FIRST_STAGE_ONLY = ((1n << 43n) | (1n << 47n)).toString(16);

/** Four bytes, each as a character. */
const le32 = (value: number) => String.fromCharCode(...new Uint8Array(new Uint32Array([value]).buffer));

describe("the estimate of an aperture", () => {
  it("is nothing behind an IOMMU that shows no registers", () => {
    expect(estimateAperture(NOTHING)).toBe(null);
  });

  it.each(["", "0xd2008c22260286", "d2008c22260286\n1", "no", "1d2008c2226028600"])(
    "is nothing when a register reads %j",
    (text) => {
      expect(estimateAperture({ ...NOTHING, cap: text })).toBe(null);
      expect(estimateAperture({ ...NOTHING, features: text })).toBe(null);
    },
  );

  it.each([
    ["an emulated unit of 39 bits", "d2008c22260286", 39],
    ["an emulated unit of 48 bits", "d2008c222f0686", 48],
    ["a server's unit, whose tables reach further than it takes", cap(46, 0b0100), 46],
    ["a unit that takes more than its tables reach", cap(57, 0b0110), 48],
    ["a unit of five levels", cap(57, 0b1110), 57],
    ["a unit with six levels too, which Linux does not use", cap(64, 0b11110), 57],
  ])("is for %s what both its tables and its width reach", (_which, register, expected) => {
    expect(bits({ cap: register, ecap: "f00f5e" })).toBe(expected);
  });

  it("is nothing for a unit that has no tables of the second stage", () => {
    expect(bits({ cap: cap(48, 0) })).toBe(null);
  });

  it("is what both stages reach where the unit can do scalable mode, and of the first the lower half", () => {
    expect(bits({ cap: cap(57, 0b1110), ecap: SCALABLE })).toBe(47);
    expect(bits({ cap: cap(57, 0b1110, true), ecap: SCALABLE })).toBe(56);
    expect(bits({ cap: cap(57, 0b0110, true), ecap: SCALABLE })).toBe(48);
    expect(bits({ cap: cap(48, 0b1110, true), ecap: SCALABLE })).toBe(47);
    expect(bits({ cap: cap(46, 0b0100), ecap: SCALABLE })).toBe(45);
    expect(bits({ cap: cap(57, 0b1110), ecap: SECOND_STAGE_ONLY })).toBe(57);
  });

  it("is what the first stage reaches for a unit that has no other", () => {
    expect(bits({ cap: cap(48, 0), ecap: FIRST_STAGE_ONLY })).toBe(47);
  });

  it("does not ask about the first stage where the unit cannot do scalable mode", () => {
    expect(bits({ cap: cap(48, 0b0100), ecap: (1n << 47n).toString(16) })).toBe(48);
  });

  it("is for an emulated unit with tables of the first stage what Linux 7.3 gave", () => {
    expect(bits({ cap: "1d2008c222f0686", ecap: "880000f00f4a" })).toBe(47);
  });

  it("is for AMD's IOMMU what its tables reach: with six levels everything", () => {
    expect(bits({ features: "25bf732fa2295afe:0" })).toBe(64);
    expect(bits({ features: "58f77ef22294ade" })).toBe(64);
    expect(bits({ features: (1n << 10n).toString(16) })).toBe(57);
    expect(bits({ features: "0:0" })).toBe(48);
  });

  it("is not more for AMD's IOMMU than the firmware's table says", () => {
    const ivrs = (vaSize: number, efrSup = 1) =>
      `IVRS${"\0".repeat(32)}${le32((vaSize << 15) | 0x2800 | efrSup)}\0\0`;
    expect(bits({ features: "29d3:0", ivrs: ivrs(48) })).toBe(48);
    expect(bits({ features: "29d3:0", ivrs: ivrs(64) })).toBe(64);
    expect(bits({ features: "29d3:0", ivrs: ivrs(0) })).toBe(64);
    expect(bits({ features: "0:0", ivrs: ivrs(64) })).toBe(48);
    expect(bits({ features: "29d3:0", ivrs: ivrs(64, 0) })).toBe(48);
    expect(bits({ features: "29d3:0", ivrs: ivrs(40, 0) })).toBe(40);
    expect(bits({ features: "29d3:0", ivrs: "IVRS" })).toBe(64);
  });

  it("is smaller when AMD's driver was told to use the CPU's format of tables", () => {
    const features = "25bf732fa2295afe:0";
    expect(bits({ features, commandLine: "ro amd_iommu=pgtbl_v2 quiet" })).toBe(47);
    expect(bits({ features, commandLine: "amd_iommu=force_enable,pgtbl_v2" })).toBe(47);
    expect(bits({ features, commandLine: "amd_iommu=pgtbl_v1" })).toBe(64);
    expect(bits({ features, commandLine: "xamd_iommu=pgtbl_v2" })).toBe(64);
  });
});
