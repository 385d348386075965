import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { runs } from "../../runs.ts";
import type { Message } from "../stub.ts";
import { Client } from "./client.ts";

const NIC = "0000:01:00.0";
const GPU = "0000:02:00.0";
const TiB = 2 ** 40;
const HYPER_TRANSPORT = { start: "0xfd00000000", last: "0xffffffffff", type: "reserved" };

/** A NIC and a GPU behind one IOMMU, both probed unless a test says otherwise. */
async function hostWith({ nic = {}, gpu = {}, iommu = {}, probed = [NIC, GPU] }) {
  const device = { iommu: "iommu0", driver: "vfio-pci", regions: [] };
  const client = new Client({
    iommus: [{ name: "iommu0", ...iommu }],
    devices: [
      { ...device, device: NIC, group: 1, ...nic },
      { ...device, device: GPU, group: 2, ...gpu },
    ],
  });
  for (const device of probed) await client.ask("probe-device", { device });
  return client;
}

const amdHost = () => hostWith({ nic: { regions: [HYPER_TRANSPORT] }, gpu: { regions: [HYPER_TRANSPORT] } });

function kinds({ remedies }: Message): string[] {
  return remedies.map(({ kind }: Message) => kind);
}

function remedy({ remedies }: Message, kind: string): Message {
  return remedies.find((each: Message) => each.kind === kind);
}

describe("a layout that does not fit is answered with what would", () => {
  it("an AMD vCPU, or so much memory", async () => {
    const client = await amdHost();
    const machine = { type: "q35", memory: 1.5 * TiB };
    const answer = await client.ask("check-layout", { machine, devices: [NIC, GPU] });
    expect(kinds(answer)).toEqual(["amd-vcpu", "memory"]);
    expect(remedy(answer, "memory")).toMatchObject({
      memory: "0xfc80000000",
      detail: "give the guest at most 1010G of memory, everything else as it is",
    });
  });

  it("a newer machine type, for an AMD vCPU on an old one", async () => {
    const client = await amdHost();
    const machine = { type: "q35", version: "pc-q35-6.2", "amd-vcpu": true, memory: 1.5 * TiB };
    const answer = await client.ask("check-layout", { machine, devices: [NIC] });
    expect(kinds(answer)).toEqual(["machine-version", "memory"]);
    const { version } = remedy(answer, "machine-version");
    expect(version).toBe("7.1");
    const older = { ...machine, version: "7.0" };
    for (const [newer, fits] of [
      [{ ...machine, version }, true],
      [older, false],
    ] as const) {
      expect(await client.ask("check-layout", { machine: newer, devices: [NIC] })).toMatchObject({ fits });
    }
  });

  it("the device to leave out, when one alone is in the way", async () => {
    const region = { start: "0x40000000", last: "0x4fffffff", type: "reserved" };
    const client = await hostWith({ gpu: { regions: [region] } });
    const layout = [{ name: "ram", start: 0, size: "2G" }];
    const ask = (devices: string[]) => client.ask("check-layout", { layout, devices });
    const answer = await ask([NIC, GPU]);
    expect(answer.remedies).toEqual([
      { kind: "without-device", device: GPU, detail: expect.stringContaining(GPU) },
    ]);
    expect(await ask([NIC])).toMatchObject({ fits: true, remedies: [] });
    expect((await ask([GPU])).remedies).toEqual([]);
  });

  it("no device, when others are in the way as well", async () => {
    const region = { start: "0x40000000", last: "0x4fffffff", type: "reserved" };
    const client = await hostWith({ nic: { regions: [region] }, gpu: { regions: [region] } });
    const layout = [{ name: "ram", start: 0, size: "2G" }];
    const { fits, remedies } = await client.ask("check-layout", { layout, devices: [NIC, GPU] });
    expect({ fits, remedies }).toEqual({ fits: false, remedies: [] });
  });

  it("the device that no guest can have", async () => {
    const rmrr = { start: "0xbdf6e000", last: "0xbdf84fff", type: "direct" };
    const client = await hostWith({ gpu: { regions: [rmrr] }, probed: [NIC] });
    const layout = [{ name: "ram", start: 0, size: "1G" }];
    const answer = await client.ask("check-layout", { layout, devices: [GPU, NIC] });
    expect(answer.fits).toBe(false);
    expect(kinds(answer)).toEqual(["without-device"]);
    expect(await client.ask("check-layout", { layout, devices: [NIC] })).toMatchObject({ fits: true });
  });

  it("no device, when nothing but an IOAS that nothing is attached to would remain", async () => {
    const region = { start: "0x40000000", last: "0x4fffffff", type: "reserved" };
    const client = await hostWith({ gpu: { regions: [region] } });
    const { ioas } = await client.ask("create-ioas");
    const layout = [{ name: "ram", start: 0, size: "2G" }];
    const ask = () => client.ask("check-layout", { layout, devices: [GPU], ioas });
    expect(await ask()).toMatchObject({ fits: false, remedies: [] });
    await client.ask("hold-device", { device: NIC });
    await client.ask("attach-device", { device: NIC, ioas });
    expect(kinds(await ask())).toEqual(["without-device"]);
  });

  it("nothing of the machine, when a window of one's own does not fit", async () => {
    const client = await amdHost();
    const machine = { type: "q35", memory: 1.5 * TiB };
    const layout = [{ name: "bar", start: "0xfe00000000", size: "1M" }];
    expect(kinds(await client.ask("check-layout", { machine, layout, devices: [NIC, GPU] }))).toEqual([]);
  });
});

describe("phys-bits are limited to what the IOMMU translates", () => {
  const iommu = { aperture: { start: "0x0", last: "0x7fffffffff" } };
  const machine = { type: "q35", memory: "8G" };

  it("when the guest has more, whatever else fits", async () => {
    const client = await hostWith({ iommu });
    const ask = (bits: number) =>
      client.ask("check-layout", { machine: { ...machine, "phys-bits": bits }, devices: [NIC] });
    const answer = await ask(46);
    expect(answer.fits).toBe(true);
    expect(remedy(answer, "phys-bits")).toMatchObject({
      bits: 39,
      detail: expect.stringContaining("host-phys-bits-limit=39"),
    });
    expect((await ask(39)).remedies).toEqual([]);
  });

  it("unless something else keeps it from fitting", async () => {
    const layout = [{ name: "bar", start: "0xfee00000", size: "1M" }];
    const nic = { regions: [{ start: "0xfee00000", last: "0xfeefffff", type: "msi" }] };
    const blocked = { regions: [{ start: "0xbdf6e000", last: "0xbdf84fff", type: "direct" }] };
    const client = await hostWith({ iommu, nic, gpu: blocked, probed: [NIC] });
    const guest = { machine: { ...machine, "phys-bits": 46, memory: "1G" } };
    for (const params of [
      { ...guest, layout, devices: [NIC] },
      { ...guest, devices: [GPU] },
    ]) {
      expect(await client.ask("check-layout", params)).toMatchObject({ fits: false, remedies: [] });
    }
    expect(kinds(await client.ask("check-layout", { ...guest, devices: [NIC] }))).toEqual(["phys-bits"]);
  });

  it("unless QEMU would refuse the guest for it", async () => {
    const client = await hostWith({ iommu });
    const large = { ...machine, "pci-hole64-size": "1T", "phys-bits": 46 };
    expect(kinds(await client.ask("check-layout", { machine: large, devices: [NIC] }))).toEqual([]);
  });
});

describe("a probe is offered", () => {
  const layout = [{ name: "ram", start: 0, size: "1G" }];

  it("when it makes an answer certain, and not when nothing is to be learnt", async () => {
    const client = await hostWith({ probed: [GPU] });
    const ask = (devices: string[]) => client.ask("check-layout", { layout, devices });
    expect(await ask([NIC, GPU])).toMatchObject({
      fits: true,
      remedies: [{ kind: "probe", devices: [NIC] }],
    });
    expect((await ask([GPU])).remedies).toEqual([]);
    await client.ask("probe-device", { device: NIC });
    expect(await ask([NIC, GPU])).toMatchObject({ exact: true, remedies: [] });
  });

  it("when what is in the way may be a sibling's, and then it fits", async () => {
    const region = { start: "0x1000", last: "0x1fff", type: "reserved" };
    const client = await hostWith({ nic: { group: 1, regions: [region] }, gpu: { group: 1 }, probed: [] });
    const ask = (causes = true) => client.ask("check-layout", { layout, devices: [GPU], causes });
    expect(await ask()).toMatchObject({ fits: false, remedies: [{ kind: "probe", devices: [GPU] }] });
    expect(kinds(await ask(false))).toEqual(["probe"]);
    await client.ask("probe-device", { device: GPU });
    expect(await ask()).toMatchObject({ fits: true, remedies: [] });
  });

  it("not when something is in the way that it cannot refute", async () => {
    const region = { start: "0x1000", last: "0x1fff", type: "reserved" };
    const client = await hostWith({ nic: { regions: [region] }, probed: [] });
    const ask = (params: object) => client.ask("check-layout", { layout, devices: [NIC], ...params });
    expect(await ask({})).toMatchObject({ fits: false, exact: false, remedies: [] });
    const hosts = [{ host: "a", allowed: [], exact: true }];
    expect(await ask({ devices: [GPU], hosts })).toMatchObject({ fits: false, exact: false, remedies: [] });
  });

  it("not beside a device that no guest can have", async () => {
    const rmrr = { start: "0xbdf6e000", last: "0xbdf84fff", type: "direct" };
    const client = await hostWith({ gpu: { regions: [rmrr] }, probed: [] });
    const answer = await client.ask("check-layout", { layout, devices: [NIC, GPU] });
    expect(kinds(answer)).toEqual(["without-device"]);
    expect(answer.hint).toContain("probe-device");
  });

  it("whatever becomes of a window that the guest can do without", async () => {
    const region = { start: "0x1000", last: "0x1fff", type: "reserved" };
    const client = await hostWith({ nic: { regions: [region] }, probed: [] });
    const optional = layout.map((window) => ({ ...window, required: false }));
    const answer = await client.ask("check-layout", { layout: optional, devices: [NIC] });
    expect(answer).toMatchObject({ fits: true, windows: [{ fits: false }] });
    expect(kinds(answer)).toEqual(["probe"]);
  });
});

describe("every remedy of a machine", () => {
  const machine = fc.record({
    type: fc.constantFrom("pc", "q35", "virt", "microvm", "cloud-hypervisor"),
    memory: fc.bigInt(1n, 3n * 2n ** 20n).map((mebibytes) => `${mebibytes}M`),
  });
  const amd = fc.record({
    type: fc.constantFrom("pc", "q35"),
    version: fc.constantFrom("6.2", "7.0", "7.1", "9.0"),
    memory: fc.bigInt(700n, 2500n).map((gibibytes) => `${gibibytes}G`),
    "amd-vcpu": fc.boolean(),
  });
  const place = fc.oneof(
    fc.bigInt(0n, 8n * 2n ** 20n).map((pages) => pages << 12n),
    fc.bigInt(0n, 3n * 2n ** 28n).map((pages) => pages << 12n),
  );
  const region = fc.tuple(place, fc.constantFrom(0n, 0xffffn, 2n ** 34n - 1n)).map(([start, length]) => ({
    start: `0x${(start).toString(16)}`,
    last: `0x${(start + length).toString(16)}`,
    type: "reserved",
  }));

  /** With the hole of HyperTransport: of each kind one, for chance may bring none of the rarer ones. */
  const examples = (
    [
      { type: "q35", version: "9.0", memory: "1100G", "amd-vcpu": false },
      { type: "q35", version: "7.0", memory: "1100G", "amd-vcpu": true },
    ] as const
  ).map((given): [typeof given, [], boolean] => [given, [], true]);

  it("makes it fit, and so much memory and 8 KiB more do not", async () => {
    const tried = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(machine, amd),
        fc.array(region, { maxLength: 2 }),
        fc.boolean(),
        async (given, regions, hyperTransport) => {
          const client = await hostWith({
            nic: { regions: hyperTransport ? [...regions, HYPER_TRANSPORT] : regions },
            probed: [NIC],
          });
          const check = (change: object) =>
            client.ask("check-layout", { machine: { ...given, ...change }, devices: [NIC] });
          const { fits, remedies } = await check({});
          if (fits) expect(remedies).toEqual([]);
          for (const { kind, memory, version } of remedies) {
            tried.set(kind, (tried.get(kind) ?? 0) + 1);
            if (kind === "amd-vcpu") expect((await check({ "amd-vcpu": true })).fits).toBe(true);
            if (kind === "machine-version") expect((await check({ version })).fits).toBe(true);
            if (kind !== "memory") continue;
            expect((await check({ memory })).fits).toBe(true);
            const more = { ...given, memory: `0x${(BigInt(memory) + 8192n).toString(16)}` };
            const next = await client.ask("check-layout", { machine: more, devices: [NIC] }).catch(String);
            expect(typeof next === "string" || !next.fits).toBe(true);
          }
        },
      ),
      { numRuns: runs(50, 1_000), examples },
    );
    for (const kind of ["amd-vcpu", "machine-version", "memory"]) expect(tried.get(kind)).toBeGreaterThan(0);
  });

  it("limits phys-bits to what the IOMMU translates, and one bit more is too many", async () => {
    const bits = fc.integer({ min: 36, max: 52 });
    let tried = 0;
    await fc.assert(
      fc.asyncProperty(machine, bits, bits, async (given, guest, host) => {
        const aperture = { start: "0x0", last: `0x${(2n ** BigInt(host) - 1n).toString(16)}` };
        const client = await hostWith({ iommu: { aperture }, probed: [NIC] });
        const check = async (bits: number): Promise<Message | undefined> => {
          const params = { machine: { ...given, "phys-bits": bits }, devices: [NIC] };
          return (await client.attempt("check-layout", params)).result;
        };
        const answer = await check(guest);
        const limit = answer && remedy(answer, "phys-bits");
        if (guest <= host) expect(limit).toBeUndefined();
        if (!limit) return;
        tried++;
        expect(limit.bits).toBe(host);
        expect(await check(host)).toMatchObject({ fits: true, remedies: [] });
        expect(remedy((await check(host + 1)) as Message, "phys-bits")).toEqual(limit);
      }),
      { numRuns: runs(10, 200), examples: [[{ type: "q35", memory: "4096M" }, 48, 39]] },
    );
    expect(tried).toBeGreaterThan(0);
  });
});

describe("every remedy of a device", () => {
  const start = fc.bigInt(0n, 31n).map((page) => page << 12n);
  const region = fc
    .tuple(start, fc.constantFrom("msi", "reserved", "direct-relaxable", "direct"))
    .map(([start, type]) => ({
      start: `0x${start.toString(16)}`,
      last: `0x${(start + 0xfffn).toString(16)}`,
      type,
    }));
  const device = fc.record({
    group: fc.constantFrom(1, 2),
    driver: fc.constantFrom("vfio-pci", "vfio-pci", "vfio-pci", null),
    regions: fc.array(region, { maxLength: 1 }),
  });
  const window = fc.tuple(start, fc.bigInt(1n, 16n)).map(([start, pages]) => ({
    name: "window",
    start: `0x${start.toString(16)}`,
    size: `0x${(pages << 12n).toString(16)}`,
  }));

  it("makes it fit, or certain; a device is named whenever leaving it out helps", async () => {
    const tried = new Map<string, number>();
    await fc.assert(
      fc.asyncProperty(device, device, fc.subarray([NIC, GPU]), window, async (nic, gpu, probed, window) => {
        const client = await hostWith({ nic, gpu, probed: [] });
        for (const device of probed) await client.attempt("probe-device", { device });
        const check = (devices: string[]) => client.ask("check-layout", { layout: [window], devices });
        const answer = await check([NIC, GPU]);
        for (const { kind } of answer.remedies) tried.set(kind, (tried.get(kind) ?? 0) + 1);

        const helps: string[] = [];
        for (const [device, rest] of [
          [NIC, GPU],
          [GPU, NIC],
        ] as const) {
          if (!answer.fits && (await check([rest])).fits) helps.push(device);
        }
        expect(helps).toEqual(
          remedy(answer, "without-device") ? [remedy(answer, "without-device").device] : [],
        );

        const probe = remedy(answer, "probe");
        if (!probe) return;
        for (const device of probe.devices) await client.ask("probe-device", { device });
        const after = await check([NIC, GPU]);
        expect(kinds(after)).not.toContain("probe");
        expect(after.exact).toBe(after.blockers.length === 0);
      }),
      { numRuns: runs(20, 400) },
    );
    for (const kind of ["without-device", "probe"]) expect(tried.get(kind)).toBeGreaterThan(0);
  });
});
