import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseReservedRegions, type Region } from "../../src/host/platform/reserved-regions.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { runs } from "../runs.ts";
import { anyText } from "../text.ts";

const U64_MAX = 0xffffffffffffffffn;

const hex = (value: bigint, width = 16) => `0x${value.toString(16).padStart(width, "0")}`;

/** What is left beside the enforced regions of a file, as [start, last] in bare hexadecimal. */
function allowed(text: string): string[][] {
  const enforced = parseReservedRegions(text).regions.filter((region) => region.enforced);
  return [...RangeSet.from(enforced).invert()].map(({ start, last }) => [
    start.toString(16),
    last === U64_MAX ? "U64" : last.toString(16),
  ]);
}

/** Lines as Linux prints them (`drivers/iommu/iommu.c: iommu_group_show_resv_regions`). */
function file(...lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

describe("the file", () => {
  const MSI = "0x00000000fee00000 0x00000000feefffff msi";
  const ISA = "0x0000000000000000 0x0000000000ffffff direct";
  it.each([
    {
      host: "an Intel network card",
      text: file(MSI),
      left: [
        ["0", "fedfffff"],
        ["fef00000", "U64"],
      ],
    },
    {
      host: "the group of an Intel ISA bridge",
      text: file(ISA, MSI),
      left: [
        ["1000000", "fedfffff"],
        ["fef00000", "U64"],
      ],
    },
    {
      host: "an HP DL388 G8 with an RMRR",
      text: file(ISA, "0x00000000bdf6e000 0x00000000bdf84fff direct", MSI),
      left: [
        ["1000000", "bdf6dfff"],
        ["bdf85000", "fedfffff"],
        ["fef00000", "U64"],
      ],
    },
    {
      host: "an AMD host with its HyperTransport window",
      text: file(MSI, "0x000000fd00000000 0x000000ffffffffff reserved"),
      left: [
        ["0", "fedfffff"],
        ["fef00000", "fcffffffff"],
        ["10000000000", "U64"],
      ],
    },
    {
      host: "a HiSilicon D05 with a software MSI window and an ITS",
      text: file("0x0000000008000000 0x00000000080fffff msi", "0x00000000c6010000 0x00000000c601ffff msi"),
      left: [
        ["0", "7ffffff"],
        ["8100000", "c600ffff"],
        ["c6020000", "U64"],
      ],
    },
    {
      host: "a HiSilicon RAID controller with IORT RMRs, recorded with trailing blanks",
      text: file(
        "0x0000000008000000 0x00000000080fffff msi  ",
        "0x0000000027b00000 0x00000000286fffff direct  ",
        "0x00000000e6400000 0x00000000e64fffff direct  ",
      ),
      left: [
        ["0", "7ffffff"],
        ["8100000", "27afffff"],
        ["28700000", "e63fffff"],
        ["e6500000", "U64"],
      ],
    },
    {
      host: "a VT-d guest's ISA bridge, whose region is relaxable",
      text: file("0x0000000000000000 0x0000000000ffffff direct-relaxable", MSI),
      left: [
        ["0", "fedfffff"],
        ["fef00000", "U64"],
      ],
    },
  ])("of $host gives what the kernel leaves", ({ text, left }) => {
    expect(parseReservedRegions(text).truncated).toBe(false);
    expect(allowed(text)).toEqual(left);
  });
});

describe("a line", () => {
  const parsed = (text: string) => parseReservedRegions(text).regions;

  it("may give its addresses in any width and either case", () => {
    const region = { start: 0xf0000n, last: 0xfffffn, type: "reserved", enforced: true };
    expect(parsed("0xf0000 0x000FFFFF reserved\n")).toEqual([region]);
    expect(parsed("0x00000000000f0000 0x0fffff reserved\n")).toEqual([region]);
  });

  it("may end in blanks or CRLF, or lack its newline", () => {
    const region = { start: 0n, last: 0xfffn, type: "msi", enforced: true };
    for (const end of ["\n", "  \t\n", "\r\n", ""]) {
      expect(parseReservedRegions(`0x0 0xfff msi${end}`)).toEqual({ regions: [region], truncated: false });
    }
  });

  it("of a type that is not known here passes, and counts as enforced", () => {
    expect(parsed("0x1000 0x1fff translated-msi\n")).toEqual([
      { start: 0x1000n, last: 0x1fffn, type: "translated-msi", enforced: true },
    ]);
  });

  it("of type direct-relaxable is the only one that is not enforced", () => {
    const text = file(
      ...["direct", "direct-relaxable", "msi", "reserved"].map((type) => `0x0 0xfff ${type}`),
    );
    expect(parsed(text).map(({ type, enforced }) => [type, enforced])).toEqual([
      ["direct", true],
      ["direct-relaxable", false],
      ["msi", true],
      ["reserved", true],
    ]);
  });

  it("of a region without length, which ends below its start, reserves nothing", () => {
    expect(parseReservedRegions("0x1000 0xfff reserved\n")).toEqual({ regions: [], truncated: false });
  });

  it("that is there twice counts once, also in another spelling", () => {
    expect(parsed("0x1000 0x1fff msi\n0x01000 0x1FFF msi\n")).toHaveLength(1);
  });

  it("that nobody can read makes the file incomplete, and does not hide the others", () => {
    for (const nonsense of [
      "0x1000",
      "garbage",
      "0x1000 0x1fff",
      "1000 1fff msi",
      `0x${"f".repeat(17)} 0x0 msi`,
    ]) {
      const { regions, truncated } = parseReservedRegions(`${nonsense}\n0x0 0xfff msi\n`);
      expect(truncated, nonsense).toBe(true);
      expect(regions).toHaveLength(1);
    }
  });
});

describe("regions", () => {
  it("are sorted by start, then last, then type", () => {
    const text = file(
      "0x2000 0x2fff msi",
      "0x1000 0x4fff msi",
      "0x1000 0x1fff reserved",
      "0x1000 0x1fff direct",
      "0x0 0xffffffffffffffff direct-relaxable",
    );
    const lines = parseReservedRegions(text).regions.map(
      ({ start, last, type }) => `${start.toString(16)} ${last.toString(16)} ${type}`,
    );
    expect(lines).toEqual([
      "0 ffffffffffffffff direct-relaxable",
      "1000 1fff direct",
      "1000 1fff reserved",
      "1000 4fff msi",
      "2000 2fff msi",
    ]);
  });

  it("of an empty file are none, and none are missing", () => {
    expect(parseReservedRegions("")).toEqual({ regions: [], truncated: false });
  });
});

/** What sysfs shows of a file that does not fit into its page. */
const cut = (text: string) => text.slice(0, 4095);

describe("a file that fills sysfs's page", () => {
  it("is incomplete, and its last line is not believed: direct may be all that is left of direct-relaxable", () => {
    const first = file(
      ...Array.from({ length: 97 }, (_, i) => `${hex(BigInt(i) << 12n)} ${hex(BigInt(i) << 12n)} msi`),
    );
    const room = 4095 - first.length;
    const last = `0x${"0".repeat(room - "0x 0x1fff direct".length - 1)}1 0x1fff direct-relaxable`;
    const text = cut(first + file(last));
    expect(text.endsWith(" direct")).toBe(true);
    const { regions, truncated } = parseReservedRegions(text);
    expect(truncated).toBe(true);
    expect(regions.filter(({ type }) => type !== "msi")).toEqual([]);
  });

  it("is incomplete also when it ends at the end of a line", () => {
    const text = (length: number) => `${"0x0 0xfff msi".padEnd(length - 1)}\n`;
    const { regions } = parseReservedRegions(text(4094));
    expect(parseReservedRegions(text(4094))).toEqual({ regions, truncated: false });
    expect(parseReservedRegions(text(4095))).toEqual({ regions, truncated: true });
    // Of a host with larger pages.
    expect(parseReservedRegions(text(4096))).toEqual({ regions, truncated: false });
    expect(parseReservedRegions(text(16383))).toEqual({ regions, truncated: true });
    expect(parseReservedRegions(text(65535))).toEqual({ regions, truncated: true });
  });
});

describe("whatever the text", () => {
  const address = fc.bigInt(0n, U64_MAX);
  const region = fc
    .record({
      ends: fc.tuple(address, address),
      type: fc.constantFrom("direct", "direct-relaxable", "reserved", "msi", "new-word"),
    })
    .map(({ ends: [a, b], type }): Region => {
      const [start, last] = a < b ? [a, b] : [b, a];
      return { start, last, type, enforced: type !== "direct-relaxable" };
    });
  const keyOf = ({ start, last, type }: Region) => `${hex(start)} ${hex(last)} ${type}`;

  it("never throws, and what comes out is sorted, without duplicates and without empty regions", () => {
    const word = fc.oneof(
      fc.string(),
      fc.constantFrom("0x", "0x0", "0xfff", "0xffffffffffffffff", "msi", "\n", " ", "\r", "\0", "-1"),
    );
    const text = fc.oneof(
      anyText,
      fc.array(word, { maxLength: 40 }).map((words) => words.join(" ")),
      fc.array(word, { maxLength: 40 }).map((words) => words.join("")),
    );
    fc.assert(
      fc.property(text, (text) => {
        const { regions } = parseReservedRegions(text);
        const keys = regions.map(keyOf);
        expect(keys).toEqual([...new Set(keys)].sort());
        expect(regions.every(({ start, last }) => start <= last)).toBe(true);
      }),
      { numRuns: runs(85, 1_980) },
    );
  });

  it("regions that are printed come back, in whatever order and width", () => {
    const printed = fc.tuple(region, fc.integer({ min: 1, max: 16 }));
    fc.assert(
      fc.property(fc.array(printed, { maxLength: 60 }), (printed) => {
        const text = file(
          ...printed.map(
            ([{ start, last, type }, width]) => `${hex(start, width)} ${hex(last, width)} ${type}`,
          ),
        );
        const unique = new Map(printed.map(([region]) => [keyOf(region), region]));
        const expected = [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, region]) => region);
        expect(parseReservedRegions(text)).toEqual({ regions: expected, truncated: false });
      }),
      { numRuns: runs(50, 600) },
    );
  });

  it("a file cut at the page shows nothing that the whole one does not have", () => {
    fc.assert(
      fc.property(fc.array(region, { minLength: 75, maxLength: 110 }), (regions) => {
        const text = cut(file(...regions.map(keyOf)));
        const whole = new Set(regions.map(keyOf));
        const { regions: shown, truncated } = parseReservedRegions(text);
        expect(truncated).toBe(text.length === 4095);
        expect(shown.map(keyOf).filter((key) => !whole.has(key))).toEqual([]);
      }),
      { numRuns: runs(50, 600) },
    );
  });
});
