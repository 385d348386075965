import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatAddress } from "../../../src/ranges/address.ts";
import type { Range } from "../../../src/ranges/range.ts";
import { Bitmap, rangesAround, UNIVERSES, WIDTH } from "../../ranges/bitmap.ts";
import { runs } from "../../runs.ts";
import { Client } from "./client.ts";

const GPU = "0000:41:00.0";
const NIC = "0000:c1:00.0";

function wire(ranges: readonly Range[]) {
  return ranges.map(({ start, last }) => ({ start: formatAddress(start), last: formatAddress(last) }));
}

/** Two devices behind one IOMMU, with these regions. */
function hostWith(first: readonly Range[], second: readonly Range[]): Client {
  const device = (name: string, ranges: readonly Range[], type: string) => ({
    device: name,
    iommu: "iommu0",
    driver: "vfio-pci",
    regions: wire(ranges).map((range) => ({ ...range, type })),
  });
  return new Client({
    iommus: [{ name: "iommu0", "page-size": 1 }],
    devices: [device(GPU, first, "msi"), device(NIC, second, "reserved")],
  });
}

const devices = [GPU, NIC];

describe.each(UNIVERSES)("planning $name", ({ base }) => {
  const known = fc.tuple(rangesAround(base), rangesAround(base));

  it("explain-range of any byte agrees with predict-allowed-ranges", async () => {
    await fc.assert(
      fc.asyncProperty(known, fc.nat(WIDTH - 1), async ([first, second], offset) => {
        const client = hostWith(first, second);
        const start = formatAddress(base + BigInt(offset));
        const predicted = await client.ask("predict-allowed-ranges", { devices });
        const explained = await client.ask("explain-range", { start, last: start, devices });
        const holds = (range: { start: string; last: string }) =>
          BigInt(range.start) <= BigInt(start) && BigInt(start) <= BigInt(range.last);
        expect(explained.allowed).toEqual(predicted.ranges.some(holds) ? [{ start, last: start }] : []);
        expect(explained.excluded).toEqual(
          predicted.excluded.filter(holds).map(({ causes }: { causes: unknown }) => ({
            start,
            last: start,
            causes,
          })),
        );
      }),
      { numRuns: runs(10, 120) },
    );
  });

  it("excluded is the exact complement of ranges, and names who claims each byte", async () => {
    await fc.assert(
      fc.asyncProperty(known, async ([first, second]) => {
        const client = hostWith(first, second);
        const { ranges, excluded } = await client.ask("predict-allowed-ranges", { devices });
        const both = Bitmap.of(base, [...first, ...second]);
        expect(ranges).toEqual(wire(both.with(both, (taken) => !taken).ranges()));
        for (const device of devices) {
          const claimed = excluded.filter(({ causes }: { causes: { device: string }[] }) =>
            causes.some((cause) => cause.device === device),
          );
          const { ranges: merged } = await client.ask("intersect-ranges", {
            lists: [claimed.map(({ start, last }: { start: string; last: string }) => ({ start, last }))],
          });
          expect(merged).toEqual(wire(Bitmap.of(base, device === GPU ? first : second).ranges()));
        }
      }),
      { numRuns: runs(10, 120) },
    );
  });

  it.each(["up", "down"])("find-free-range finds the place that brute force finds, %s", async (direction) => {
    const wanted = fc.record({
      size: fc.integer({ min: 1, max: 12 }),
      alignment: fc.constantFrom(1, 2, 4, 8),
      bounds: fc.tuple(fc.nat(WIDTH - 1), fc.nat(WIDTH - 1)),
    });
    await fc.assert(
      fc.asyncProperty(known, rangesAround(base), wanted, async ([first, second], avoid, request) => {
        const { size, alignment } = request;
        const [low, high] = request.bounds;
        const answer = await hostWith(first, second).ask("find-free-range", {
          size,
          alignment,
          direction,
          avoid: wire(avoid),
          "not-below": formatAddress(base + BigInt(low)),
          "not-above": formatAddress(base + BigInt(high)),
          devices,
        });
        const taken = Bitmap.of(base, [...first, ...second, ...avoid]).bits;
        const places = Array.from({ length: WIDTH }, (_, offset) => offset).filter(
          (offset) =>
            (base + BigInt(offset)) % BigInt(alignment) === 0n &&
            offset >= low &&
            offset + size - 1 <= high &&
            !taken.slice(offset, offset + size).some(Boolean),
        );
        const found = direction === "up" ? places.at(0) : places.at(-1);
        const start = base + BigInt(found ?? 0);
        const expected = found === undefined ? null : wire([{ start, last: start + BigInt(size) - 1n }])[0];
        expect(answer.range).toEqual(expected);
      }),
      { numRuns: runs(15, 180) },
    );
  });

  it("a window fits when all of it is allowed, and else conflicts with what is not", async () => {
    const window = fc.tuple(fc.nat(WIDTH - 1), fc.nat(WIDTH - 1));
    await fc.assert(
      fc.asyncProperty(known, fc.array(window, { maxLength: 4 }), async ([first, second], pairs) => {
        const windows = pairs.map(([a, b]) => ({
          start: base + BigInt(Math.min(a, b)),
          last: base + BigInt(Math.max(a, b)),
        }));
        const layout = windows.map((range, i) => ({ name: `${i}`, ...wire([range])[0] }));
        const answer = await hostWith(first, second).ask("check-layout", { layout, devices });
        const taken = Bitmap.of(base, [...first, ...second]);
        const conflicts = windows.map((range) =>
          wire(taken.with(Bitmap.of(base, [range]), (own, inside) => own && inside).ranges()),
        );
        for (const [i, expected] of conflicts.entries()) {
          const checked = answer.windows[i];
          expect(checked.fits).toBe(expected.length === 0);
          const parts = checked.conflicts.map(({ start, last }: Range) => ({ start, last }));
          expect((await intersectOf(parts)).ranges).toEqual(expected);
        }
        expect(answer.fits).toBe(conflicts.every(({ length }) => length === 0));
      }),
      { numRuns: runs(10, 120) },
    );
  });
});

async function intersectOf(list: object[]) {
  return new Client({}).ask("intersect-ranges", { lists: [list] });
}

describe("predict-allowed-ranges", () => {
  it("combines devices, an IOAS and other hosts, and tells their causes apart", async () => {
    const client = Client.onDemoHost("amd");
    await client.ask("probe-device", { device: GPU });
    await client.ask("probe-device", { device: NIC });
    const { ioas } = await client.ask("create-ioas");
    await client.ask("hold-device", { device: NIC });
    await client.ask("attach-device", { device: NIC, ioas });
    const answer = await client.ask("predict-allowed-ranges", {
      devices: [GPU],
      ioas,
      hosts: [
        {
          host: "intel-7",
          allowed: [{ start: "0x0", last: "0x7fffffffff" }],
          "iova-alignment": 65536,
          exact: true,
        },
      ],
    });
    expect(answer).toMatchObject({
      exact: true,
      "iova-alignment": "0x10000",
      ranges: [
        { start: "0x0", last: "0xfedfffff" },
        { start: "0xfef00000", last: "0x7fffffffff" },
      ],
    });
    const msi = { group: 22, kind: "region", type: "msi" };
    const host = { kind: "host", host: "intel-7" };
    expect(answer.excluded.map(({ causes }: { causes: object[] }) => causes)).toEqual([
      [
        { ...msi, device: GPU },
        { ...msi, device: NIC, group: 30 },
      ],
      [host],
      [{ ...msi, device: GPU, type: "reserved" }, { ...msi, device: NIC, group: 30, type: "reserved" }, host],
      [host],
    ]);
  });

  it("allows everything when nothing restricts it, as an IOAS without devices does, and promises nothing", async () => {
    const client = Client.onDemoHost("amd");
    const everything = { ranges: [{ start: "0x0", last: "0xffffffffffffffff" }], exact: false, excluded: [] };
    const { ioas } = await client.ask("create-ioas");
    expect(await client.ask("predict-allowed-ranges", { ioas })).toMatchObject(everything);
  });

  it("calls what the kernel excludes and nobody accounts for reserved elsewhere", async () => {
    const client = Client.onDemoHost("intel");
    const { ioas } = await client.ask("create-ioas");
    const device = "0000:83:00.0";
    await client.ask("hold-device", { device: "0000:84:00.0" });
    await client.ask("attach-device", { device: "0000:84:00.0", ioas });
    await client.ask("hold-device", { device });
    await client.ask("attach-device", { device, ioas });
    client.host.ioas("default", ioas).devices.clear(); // As when another process had attached them.
    const { excluded, exact } = await client.ask("predict-allowed-ranges", { ioas });
    expect(exact).toBe(true);
    expect(excluded).toEqual([
      { start: "0xfee00000", last: "0xfeefffff", causes: [{ kind: "reserved-elsewhere" }] },
      { start: "0x8000000000", last: "0xffffffffffffffff", causes: [{ kind: "reserved-elsewhere" }] },
    ]);
  });

  it("tells what else lies where nobody accounts for it, as a hint, and nowhere else", async () => {
    const device = "0000:01:00.0";
    const msi = { start: "0xfee00000", last: "0xfeefffff", type: "msi" };
    const client = new Client({
      iommus: [{ name: "iommu0" }],
      devices: [{ device, iommu: "iommu0", driver: "vfio-pci", regions: [msi] }],
      files: { "/proc/iomem": "fee00000-fee00fff : Local APIC\n" },
    });
    const { ioas } = await client.ask("create-ioas");
    await client.ask("hold-device", { device });
    await client.ask("attach-device", { device, ioas });
    const layout = [{ name: "apic", start: "0xfee00800", last: "0xfeffffff" }];
    const range = { start: "0xfee00000", last: "0xfee00fff" };
    const told = async () => [
      (await client.ask("predict-allowed-ranges", { ioas })).excluded[0],
      (await client.ask("explain-range", { ...range, ioas })).excluded[0],
      (await client.ask("check-layout", { layout, ioas })).windows[0].conflicts[0],
    ];
    for (const { causes, hint } of await told()) {
      expect(causes).toMatchObject([{ kind: "region", device }]);
      expect(hint).toBeUndefined();
    }
    // As when another process had attached it.
    client.host.context("default").shared = true;
    client.host.ioas("default", ioas).devices.clear();
    for (const { causes, hint } of await told()) {
      expect(causes).toEqual([{ kind: "reserved-elsewhere" }]);
      expect(hint).toBe('a hint, not a cause: /proc/iomem shows there "Local APIC"');
    }
  });

  it("takes a group's regions for each of its devices until a probe has told them apart, and is not exact", async () => {
    const region = { start: "0x1000", last: "0x1fff", type: "reserved" };
    const client = new Client({
      iommus: [{ name: "iommu0" }],
      devices: [
        { device: GPU, iommu: "iommu0", group: 1, driver: "vfio-pci", regions: [region] },
        { device: NIC, iommu: "iommu0", group: 1, driver: "vfio-pci", regions: [] },
      ],
    });
    const predict = () => client.ask("predict-allowed-ranges", { devices: [NIC] });
    expect(await predict()).toMatchObject({
      exact: false,
      excluded: [
        { start: "0x1000", last: "0x1fff", causes: [{ device: NIC, kind: "region", type: "reserved" }] },
      ],
    });
    await client.ask("probe-device", { device: NIC });
    expect(await predict()).toMatchObject({ exact: true, excluded: [] });
  });

  it("writes what is reserved in QEMU's text form, as query-reserved-ranges and probe-device do", async () => {
    const client = Client.onDemoHost("intel");
    const device = "0000:83:00.0";
    const text = ["0xfee00000:0xfeefffff:1", "0x8000000000:0xffffffffffffffff:0"];
    expect((await client.ask("query-reserved-ranges", { device }))["qemu-reserved-regions"]).toEqual(text);
    expect((await client.ask("probe-device", { device }))["qemu-reserved-regions"]).toEqual(text);
    const predicted = await client.ask("predict-allowed-ranges", { devices: [device] });
    expect(predicted["qemu-reserved-regions"]).toEqual(text);
  });

  it("counts a device once, however often it is named", async () => {
    const client = Client.onDemoHost("amd");
    const once = await client.ask("predict-allowed-ranges", { devices: [GPU] });
    expect(await client.ask("predict-allowed-ranges", { devices: [GPU, GPU] })).toEqual(once);
  });
});

describe("explain-range", () => {
  it("without devices is about every device of the host, those that nobody can have included", async () => {
    const client = Client.onDemoHost("intel");
    const { excluded } = await client.ask("explain-range", { start: "0xbdf6e000", last: "0xbdf6efff" });
    expect(excluded[0].causes).toEqual([
      { device: "0000:03:00.0", group: 21, kind: "region", type: "direct" },
    ]);
  });

  it("with an IOAS is about the IOAS alone", async () => {
    const client = Client.onDemoHost("intel");
    const { ioas } = await client.ask("create-ioas");
    expect(await client.ask("explain-range", { start: 0, last: "0xffffffff", ioas })).toMatchObject({
      allowed: [{ start: "0x0", last: "0xffffffff" }],
      excluded: [],
    });
  });
});

describe("find-free-range", () => {
  const hosts = [
    {
      host: "a",
      allowed: [
        { start: "0x800", last: "0x17ff" },
        { start: "0x2000", last: "0x3fff" },
      ],
      "iova-alignment": 4096,
      exact: true,
    },
  ];

  it("finds no place that the IOMMU could not map: whole blocks of its alignment", async () => {
    const answer = await new Client({}).ask("find-free-range", { size: 16, alignment: "1B", hosts });
    expect(answer).toEqual({ range: { start: "0x2000", last: "0x200f" }, exact: true, blockers: [] });
    const top = await new Client({}).ask("find-free-range", { size: 16, direction: "down", hosts });
    expect(top.range).toEqual({ start: "0x3000", last: "0x300f" });
  });

  it("answers null when bounds that cross leave nothing", async () => {
    const params = { size: 1, "not-below": 10, "not-above": 9, hosts };
    expect((await new Client({}).ask("find-free-range", params)).range).toBeNull();
  });
});
