import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Message } from "../stub.ts";
import { Client } from "./client.ts";

const GPU = "0000:41:00.0";
const mtree = readFileSync(new URL("../../plan/q35-8g.mtree.txt", import.meta.url), "utf8");
const GiB = 2 ** 30;
/** Something to check against that forbids nothing. */
const hosts = [{ host: "anywhere", allowed: [{ start: 0, last: "0xffffffffffffffff" }], exact: true }];

function names({ windows }: Message): string[] {
  return windows.map(({ name }: { name: string }) => name);
}

describe("check-layout", () => {
  it("takes a window by its last address or by its size", async () => {
    const layout = [
      { name: "a", start: "0x1000", last: "0x1fff" },
      { name: "b", start: 4096, size: 4096 },
      { name: "top", start: "0xfffffffffffff000", size: 4096 },
    ];
    const { windows } = await new Client({}).ask("check-layout", { layout, hosts });
    expect(windows.map(({ start, last }: { start: string; last: string }) => [start, last])).toEqual([
      ["0x1000", "0x1fff"],
      ["0x1000", "0x1fff"],
      ["0xfffffffffffff000", "0xffffffffffffffff"],
    ]);
  });

  it("says which window does not lie on the alignment that mappings must have", async () => {
    const client = Client.onDemoHost("amd");
    await client.ask("probe-device", { device: GPU });
    const layout = [
      { name: "aligned", start: 0, size: "0x1000" },
      { name: "short", start: 0, size: "0x1001" },
      { name: "shifted", start: "0x800", size: "0x1000" },
    ];
    const answer = await client.ask("check-layout", { layout, devices: [GPU] });
    expect(answer.windows.map(({ misaligned, fits }: Message) => [misaligned, fits])).toEqual([
      [false, true],
      [true, false],
      [true, false],
    ]);
    expect(answer).toMatchObject({ fits: false, exact: true, "iova-alignment": "0x1000" });
  });

  it("lets PCI holes say for themselves whether they fit: the guest does not need them", async () => {
    const hosts = [{ host: "a", allowed: [{ start: 0, last: "0x3ffffffff" }] }];
    const machine = { type: "q35", memory: 4 * GiB };
    const answer = await new Client({}).ask("check-layout", { machine, hosts });
    expect(answer.fits).toBe(true);
    expect(answer.windows.filter(({ fits }: Message) => !fits)).toMatchObject([
      { name: "pci-hole64", required: false, conflicts: [{ start: "0x400000000" }] },
    ]);
  });

  it("reads the windows of a running QEMU, and adds others to them", async () => {
    const client = Client.onDemoHost("amd");
    const layout = [{ name: "bar", start: "0x800000000", size: "0x1000" }];
    const answer = await client.ask("check-layout", { mtree, layout, devices: [GPU] });
    expect(answer.fits).toBe(true);
    expect(names(answer)).toEqual([
      "pc.ram",
      "pc.rom",
      "pc.bios @0000000000020000",
      "pc.ram @0000000000100000",
      "pc.bios",
      "pc.ram @0000000080000000",
      "bar",
    ]);
  });

  it("finds a running guest's memory and the planned one's to need the same", async () => {
    const hosts = [{ host: "a", allowed: [{ start: "0x1000", last: "0x1fffffff" }], exact: true }];
    const client = new Client({});
    const excludedIn = async (params: object) => {
      const { windows } = await client.ask("check-layout", { ...params, hosts });
      return windows
        .filter(({ required, name }: Message) => required && !/^pc.bios$/.test(name))
        .flatMap(({ conflicts }: Message) => conflicts.map(({ start, last }: Message) => ({ start, last })));
    };
    const merge = async (ranges: object[]) => client.ask("intersect-ranges", { lists: [ranges] });
    expect(await merge(await excludedIn({ mtree }))).toEqual(
      await merge(await excludedIn({ machine: { type: "q35", memory: 8 * GiB } })),
    );
  });

  it("takes sizes as QEMU's command line has them, and answers with addresses", async () => {
    const layout = [{ name: "ram", start: "0x100000000", size: "1.5T" }];
    const { windows } = await new Client({}).ask("check-layout", { layout, hosts });
    expect(windows[0]).toMatchObject({ start: "0x100000000", last: "0x180ffffffff" });
    const ram = async (machine: object) => {
      const answer = await new Client({}).ask("check-layout", { machine, hosts });
      return answer.windows.filter(({ required }: Message) => required);
    };
    expect(await ram({ type: "q35", memory: "1536G", "max-memory": "2T", slots: 4 })).toEqual(
      await ram({ type: "q35", memory: "0x18000000000", "max-memory": 2 ** 41, slots: 4 }),
    );
  });

  it("tells every VMM's machine by its members, and which versions its map was compared with", async () => {
    const windowsOf = async (machine: object) => {
      const answer = await new Client({}).ask("check-layout", { machine, hosts });
      const spans = answer.windows.map(({ name, start, last }: Message) => `${name} ${start}-${last}`);
      return { spans, "compared-with": answer["compared-with"] };
    };
    const qemus = ["7.2", "10.0", "11.1"];
    expect(
      await windowsOf({
        type: "q35",
        version: "pc-q35-7.0",
        memory: "1T",
        "amd-vcpu": true,
        "phys-bits": 48,
      }),
    ).toEqual({
      spans: [
        "ram-below-4g 0x0-0x7fffffff",
        "pci-hole 0x80000000-0xfebfffff",
        "ram-above-4g 0x100000000-0x1007fffffff",
        "pci-hole64 0x10080000000-0x1087fffffff",
      ],
      "compared-with": qemus,
    });
    expect(await windowsOf({ type: "pc", memory: "4G", cxl: true, "cxl-fmw-size": "512M" })).toEqual({
      spans: [
        "ram-below-4g 0x0-0xbfffffff",
        "pci-hole 0xc0000000-0xfebfffff",
        "ram-above-4g 0x100000000-0x13fffffff",
        "cxl-host 0x140000000-0x1400fffff",
        "cxl-fmw 0x150000000-0x16fffffff",
        "pci-hole64 0x180000000-0x1ffffffff",
      ],
      "compared-with": qemus,
    });
    const virt = { type: "virt", memory: "511G", "phys-bits": 44 };
    const high = async (members: object) => (await windowsOf({ ...virt, ...members })).spans[2];
    expect(await high({})).toBe("pci-hole64 0x10000000000-0x17fffffffff");
    expect(await high({ "highmem-ecam": false, "highmem-redists": false })).toBe(
      "pci-hole64 0x8000000000-0xffffffffff",
    );
    expect(await high({ "highmem-mmio": false })).toBeUndefined();
    expect(await high({ "highmem-mmio-size": "4T" })).toBe("pci-hole64 0x40000000000-0x7ffffffffff");
    expect((await windowsOf({ type: "virt", memory: "1G", highmem: false })).spans).toHaveLength(2);
    expect((await windowsOf({ type: "microvm", memory: "4G", "phys-bits": 40 })).spans).toHaveLength(4);
    expect(await windowsOf({ type: "cloud-hypervisor", arch: "aarch64", memory: "4G" })).toEqual({
      spans: [
        "ram-below-4g 0x40000000-0xfbffffff",
        "pci-hole 0x10000000-0x2fffffff",
        "ram-above-4g 0x100000000-0x143ffffff",
      ],
      "compared-with": [],
    });
    expect(await new Client({}).ask("check-layout", { layout: [], hosts })).not.toHaveProperty(
      "compared-with",
    );
  });

  it("takes an empty layout for one that fits", async () => {
    expect(await new Client({}).ask("check-layout", { layout: [], hosts })).toMatchObject({
      fits: true,
      windows: [],
    });
  });

  it("enforces what the guest needs and no more, under its names", async () => {
    const client = Client.onDemoHost("amd");
    const { ioas } = await client.ask("create-ioas");
    const machine = { type: "q35", memory: 8 * GiB };
    expect(await client.ask("check-layout", { machine, ioas, enforce: true })).toMatchObject({
      fits: true,
      enforced: true,
    });
    const [{ "allow-list": list }] = (await client.ask("query-ioas", { ioas })).ioas;
    expect(list).toEqual([
      { start: "0x0", last: "0x7fffffff", name: "ram-below-4g" },
      { start: "0x100000000", last: "0x27fffffff", name: "ram-above-4g" },
    ]);
    // As it is, it is a layout for the host that the guest is to move to.
    const elsewhere = [{ host: "b", allowed: [{ start: 0, last: "0xffffffff" }], exact: true }];
    expect(await client.ask("check-layout", { layout: list, hosts: elsewhere })).toMatchObject({
      windows: [
        { name: "ram-below-4g", fits: true },
        { name: "ram-above-4g", fits: false },
      ],
    });
  });
});

describe("check-layout refuses, and does nothing, when", () => {
  const one = { name: "ram", start: 0, last: 4095 };
  const machine = { type: "q35", memory: GiB };

  it.each<[string, object, string]>([
    ["there is no layout at all", {}, "layout: give windows here, or a machine, or an mtree"],
    ["a planned and a running guest are given", { machine, mtree }, "mtree: contradicts machine"],
    ["a window wraps", { layout: [{ ...one, start: 4096 }] }, "layout[0]: start lies above last"],
    [
      "a window reaches beyond 64 bits",
      { layout: [one, { name: "x", start: "0xfffffffffffff000", size: 4097 }] },
      "layout[1]: start and size reach beyond 64 bits",
    ],
    [
      "a window is empty",
      { layout: [{ name: "x", start: 0, size: 0 }] },
      "layout[0]: size: expected at least",
    ],
    [
      "a window has two ends",
      { layout: [{ ...one, size: 4096 }] },
      "layout[0]: expected either last or size",
    ],
    ["a window has none", { layout: [{ name: "x", start: 0 }] }, "layout[0]: expected either last or size"],
    ["a window has no name", { layout: [{ start: 0, last: 1 }] }, "layout[0].name"],
    ["a window has a member too many", { layout: [{ ...one, end: 5 }] }, 'layout[0]: unknown member "end"'],
    [
      "the machine is unknown",
      { machine: { type: "q36", memory: GiB } },
      "machine.type: expected one of pc, q35, virt, microvm, cloud-hypervisor; did you mean q35?",
    ],
    [
      "the machine's type is misspelt as a member",
      { machine: { tpye: "q35", memory: GiB } },
      'machine.type: this member is required; did you mean it by "tpye"?',
    ],
    [
      "the machine is named in full",
      { machine: { type: "pc-q35-6.2", memory: GiB } },
      'machine.type: write "type":"q35","version":"6.2"',
    ],
    [
      "there is no such version of the machine",
      { machine: { ...machine, version: "6.3" } },
      "machine.version: there is no such q35; the nearest are 6.2 and 7.0",
    ],
    [
      "a member of the machine is misspelt",
      { machine: { ...machine, "phys-bit": 40 } },
      'machine: unknown member "phys-bit" of a q35; did you mean phys-bits?',
    ],
    [
      "the machine has what moves things in a way that is not described",
      { machine: { ...machine, "sgx-epc": "64M" } },
      'machine: unknown member "sgx-epc" of a q35; if it moves memory, only the mtree of the guest',
    ],
    [
      "CXL windows have no CXL",
      { machine: { ...machine, "cxl-fmw-size": "4G" } },
      "machine.cxl-fmw-size: QEMU ignores the windows without cxl",
    ],
    [
      "QEMU would refuse the guest",
      { machine: { ...machine, slots: 2 } },
      "machine: QEMU refuses this guest: slots specified but no max-size; give max-memory, too",
    ],
    [
      "a size has no unit",
      { machine: { ...machine, memory: "4096" } },
      "machine.memory: expected a unit: without one QEMU means bytes here and megabytes there",
    ],
    ["the machine has no memory", { machine: { type: "q35", memory: 0 } }, "machine.memory"],
    [
      "the machine could have less memory than it has",
      { machine: { ...machine, "max-memory": 1 } },
      "machine: QEMU refuses this guest: maxmem 0x1 must be at least the initial memory size, 0x40000000",
    ],
    [
      "the machine is of the other kind",
      { machine: { ...machine, type: "virt", "amd-vcpu": true } },
      'machine: unknown member "amd-vcpu"',
    ],
    [
      "the machine is beyond 64 bits",
      { machine: { ...machine, memory: "0xffffffffffffffff" } },
      "machine: QEMU refuses this guest: address space limit 0xfffffffffffff",
    ],
    ["the text is no mtree", { mtree: "hello" }, "mtree: no FlatView in it; give what QEMU"],
    [
      "the mtree shows nothing to map",
      { mtree: 'FlatView #0\n AS "memory", root: system\n  No rendered FlatView\n' },
      "mtree: no RAM in it",
    ],
    ["enforcing has no place", { layout: [one], enforce: true }, "enforce: takes the ioas"],
    ["a context has no IOAS", { layout: [one], context: "default" }, "context: says nothing without an ioas"],
  ])("%s", async (_when, params, message) => {
    const error = await new Client({}).refusal("check-layout", { hosts, ...params });
    expect(error.code).toBe(-32602);
    expect(error.message).toContain(message);
  });

  it.each<[string, object[], string]>([
    ["nothing would be enforced", [], "without required windows"],
    ["the kernel would refuse one byte", [{ name: "x", start: 7, size: 1 }], "0x7 stands alone"],
  ])("%s", async (_when, layout, message) => {
    const client = new Client({});
    const { ioas } = await client.ask("create-ioas");
    await client.ask("allow-ranges", { ioas, ranges: [{ start: 0, last: 9 }] });
    const error = await client.refusal("check-layout", { layout, ioas, enforce: true });
    expect(error).toMatchObject({ code: -32602, message: expect.stringContaining(message) });
    expect((await client.ask("query-ioas", { ioas })).ioas[0]["allow-list"]).toEqual([
      { start: "0x0", last: "0x9" },
    ]);
  });

  it("100,000 windows are given, or more lines of an mtree than that", async () => {
    const client = new Client({});
    const error = await client.refusal("check-layout", { layout: Array(100_000).fill(one) });
    expect(error).toMatchObject({ code: -32602, message: expect.stringContaining("at most 65536 windows") });
    const line = "0000000000000000-0000000000000fff (prio 0, ram): x\n";
    const view = `FlatView #0\n AS "memory", root: system\n${line.repeat(4097)}`;
    expect(await client.refusal("check-layout", { mtree: view, hosts })).toMatchObject({
      code: -32011,
      data: { class: "LimitExceeded", limit: "max-windows" },
    });
  });

  it("the answer would be too large to be of use", async () => {
    const allowed = Array.from({ length: 100 }, (_, n) => ({ start: n * 8192, size: 1 })).map(
      ({ start }) => ({ start, last: start + 4095 }),
    );
    const layout = Array.from({ length: 2000 }, (_, n) => ({ name: `${n}`, start: 0, last: 8192 * 100 }));
    const error = await new Client({}).refusal("check-layout", { layout, hosts: [{ host: "a", allowed }] });
    expect(error.data).toEqual({ class: "LimitExceeded", limit: "max-causes" });
  });
});
