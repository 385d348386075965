import { describe, expect, it } from "vitest";
import { Client } from "./planning/client.ts";

const DEVICE = "0000:00:05.0";
const MSI_START = 0xfee00000;
const ONE_DEVICE = {
  iommus: [{ name: "dmar0", aperture: { start: "0x0", last: "0x7fffffffff" } }],
  devices: [
    {
      ...{ device: DEVICE, iommu: "dmar0", driver: "vfio-pci" },
      regions: [{ start: "0xfee00000", last: "0xfeefffff", type: "msi" }],
    },
  ],
};

const RANGES = [
  { start: "0x100000000", last: "0x1ffffffff", name: "ram-above-4g" },
  { start: "0x0", last: "0xfff", name: "ram-below-4g" },
  { start: "0x1000", last: "0x1fff", name: "rom" },
  { start: "0x8000", last: "0x8fff" },
];
const MERGED = [
  { start: "0x0", last: "0x1fff", name: "ram-below-4g, rom" },
  { start: "0x8000", last: "0x8fff" },
  { start: "0x100000000", last: "0x1ffffffff", name: "ram-above-4g" },
];

async function allowed(client: Client, ioas: number) {
  return (await client.ask("query-ioas", { ioas })).ioas[0]["allow-list"];
}

/** Every other pair of bytes from an address on. */
const pairs = (from: number, count: number) =>
  Array.from({ length: count }, (_, n) => ({ start: from + 4 * n, last: from + 4 * n + 1 }));

describe("an allow list", () => {
  it("has as many ranges as the lists of any request", async () => {
    const client = new Client({}, { "max-ranges": 3 });
    const { ioas } = await client.ask("create-ioas");
    expect(await client.refusal("allow-ranges", { ioas, ranges: pairs(0, 4) })).toMatchObject({
      data: { class: "LimitExceeded", limit: "max-ranges" },
    });
    expect(await allowed(client, ioas)).toBeNull();
    await client.ask("allow-ranges", { ioas, ranges: pairs(0, 3) });
  });

  it("that a device stands in the way of in many places is refused with the first of them", async () => {
    const client = new Client(ONE_DEVICE);
    const { ioas } = await client.ask("create-ioas");
    await client.ask("hold-device", { device: DEVICE });
    await client.ask("attach-device", { device: DEVICE, ioas });
    const { data } = await client.refusal("allow-ranges", { ioas, ranges: pairs(MSI_START, 2000) });
    expect(data).toMatchObject({ class: "RangeConflict", truncated: true });
    expect(data.conflicts).toHaveLength(1024);
    expect(data.conflicts[0]).toMatchObject({ start: "0xfee00000", last: "0xfee00001" });
    const few = await client.refusal("allow-ranges", { ioas, ranges: pairs(MSI_START, 2) });
    expect(few.data.conflicts).toHaveLength(2);
    expect(few.data.truncated).toBeUndefined();
  });
});

describe("the names of an allow list", () => {
  it("are given back with what became of their ranges", async () => {
    const client = new Client({});
    const { ioas } = await client.ask("create-ioas");
    expect((await client.ask("allow-ranges", { ioas, ranges: RANGES })).ranges).toEqual(MERGED);
    expect(await allowed(client, ioas)).toEqual(MERGED);
    // The answer is a request: for the other host, or the same again.
    expect((await client.ask("allow-ranges", { ioas, ranges: MERGED })).ranges).toEqual(MERGED);
  });

  it("go when other ranges come without, and with the list", async () => {
    const client = new Client({});
    const { ioas } = await client.ask("create-ioas");
    await client.ask("allow-ranges", { ioas, ranges: RANGES });
    const nameless = MERGED.map(({ start, last }) => ({ start, last }));
    await client.ask("allow-ranges", { ioas, ranges: nameless });
    expect(await allowed(client, ioas)).toEqual(nameless);
    await client.ask("allow-ranges", { ioas, ranges: [] });
    expect(await allowed(client, ioas)).toBeNull();
  });

  it("are told of when nothing but they have changed", async () => {
    const client = new Client({});
    const { ioas } = await client.ask("create-ioas");
    await client.ask("allow-ranges", { ioas, ranges: RANGES });
    const changes = client.changes.length;
    await client.ask("allow-ranges", { ioas, ranges: RANGES });
    expect(client.changes).toHaveLength(changes);
    await client.ask("allow-ranges", { ioas, ranges: [...RANGES, { start: 0, last: 1, name: "nvram" }] });
    expect(client.changes.slice(changes)).toMatchObject([{ event: "ALLOW_LIST_CHANGED", ioas }]);
  });

  it.each([
    [{ start: 0, last: 1, name: "" }, "ranges[0].name"],
    [{ start: 0, last: 1, name: "x".repeat(129) }, "ranges[0].name"],
    [{ start: 2, last: 1, name: "x" }, "ranges[0]: start lies above last"],
    [{ start: 0, last: 1, nam: "x" }, 'ranges[0]: unknown member "nam"'],
  ])("are refused in %j", async (range, message) => {
    const error = await new Client({}).refusal("allow-ranges", { ioas: 1, ranges: [range] });
    expect(error).toMatchObject({ code: -32602, message: expect.stringContaining(message) });
  });
});
