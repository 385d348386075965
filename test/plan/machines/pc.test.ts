import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Window } from "../../../src/plan/layout.ts";
import type { PcMachine } from "../../../src/plan/machines/pc.ts";
import { type Machine, machineWindows } from "../../../src/plan/machines.ts";
import { formatRange } from "../../../src/ranges/range.ts";

const MiB = 1n << 20n;
const GiB = 1n << 30n;
const TiB = 1n << 40n;

function place(machine: Machine, name: string): string | undefined {
  const window = machineWindows(machine).find((each) => each.name === name);
  return window && formatRange(window);
}

// The RAM that QEMU 7.2.22 shows in `info mtree -f` for these command lines (a pc-dimm for the device memory).
const SEEN: [string, Machine, Record<string, string | undefined>][] = [
  [
    "-M q35 -m 8G",
    { type: "q35", memory: 8n * GiB },
    { "ram-below-4g": "[0x0, 0x7fffffff]", "ram-above-4g": "[0x100000000, 0x27fffffff]" },
  ],
  [
    "-M q35 -m 2816M",
    { type: "q35", memory: 2816n * MiB },
    { "ram-below-4g": "[0x0, 0x7fffffff]", "ram-above-4g": "[0x100000000, 0x12fffffff]" },
  ],
  [
    "-M q35,max-ram-below-4g=1G -m 4G",
    { type: "q35", memory: 4n * GiB, maxRamBelow4g: GiB },
    { "ram-below-4g": "[0x0, 0x3fffffff]", "ram-above-4g": "[0x100000000, 0x1bfffffff]" },
  ],
  [
    "-M pc -m 3583M",
    { type: "pc", memory: 3583n * MiB },
    { "ram-below-4g": "[0x0, 0xdfefffff]", "ram-above-4g": undefined },
  ],
  [
    "-M pc -m 3584M",
    { type: "pc", memory: 3584n * MiB },
    { "ram-below-4g": "[0x0, 0xbfffffff]", "ram-above-4g": "[0x100000000, 0x11fffffff]" },
  ],
  [
    "-M q35 -cpu EPYC,phys-bits=48 -m 1536G",
    { type: "q35", memory: 1536n * GiB, amdVcpu: true },
    { "ram-above-4g": "[0x10000000000, 0x27f7fffffff]" },
  ],
  [
    "-M q35 -cpu Skylake-Server,phys-bits=48 -m 1536G",
    { type: "q35", memory: 1536n * GiB, amdVcpu: false },
    { "ram-above-4g": "[0x100000000, 0x1807fffffff]" },
  ],
  [
    "-M q35 -cpu EPYC,phys-bits=48 -m 978G",
    { type: "q35", memory: 978n * GiB, amdVcpu: true },
    { "ram-above-4g": "[0x100000000, 0xf4ffffffff]" },
  ],
  [
    "-M q35 -cpu EPYC,phys-bits=48 -m 979G",
    { type: "q35", memory: 979n * GiB, amdVcpu: true },
    { "ram-above-4g": "[0x10000000000, 0x1f43fffffff]" },
  ],
  [
    "-M pc -cpu EPYC,phys-bits=48 -m 1009G",
    { type: "pc", memory: 1009n * GiB, amdVcpu: true },
    { "ram-above-4g": "[0x100000000, 0xfc7fffffff]" },
  ],
  [
    "-M pc -cpu EPYC,phys-bits=48 -m 1010G",
    { type: "pc", memory: 1010n * GiB, amdVcpu: true },
    { "ram-above-4g": "[0x10000000000, 0x1fbbfffffff]" },
  ],
];

describe("the RAM of x86 machines is where QEMU puts it:", () => {
  it.each(SEEN)("%s", (_command, machine, windows) => {
    for (const [name, range] of Object.entries(windows)) expect(place(machine, name)).toBe(range);
  });

  // Where QEMU 7.2.22 puts the first pc-dimm.
  it.each<[string, PcMachine, bigint]>([
    [
      "-M pc -m 4G,slots=2,maxmem=9G",
      { type: "pc", memory: 4n * GiB, maxMemory: 9n * GiB, slots: 2 },
      0x140000000n,
    ],
    [
      "-M q35 -cpu EPYC -m 2G,slots=2,maxmem=976G",
      { type: "q35", memory: 2n * GiB, maxMemory: 976n * GiB, slots: 2, amdVcpu: true },
      0x100000000n,
    ],
    [
      "-M q35 -cpu EPYC -m 2G,slots=2,maxmem=977G",
      { type: "q35", memory: 2n * GiB, maxMemory: 977n * GiB, slots: 2, amdVcpu: true },
      0x10000000000n,
    ],
  ])("%s", (_command, machine, start) => {
    const memory = machineWindows(machine).find(({ name }) => name === "device-memory") as Window;
    expect(memory.start).toBe(start);
    const size = (machine.maxMemory as bigint) - machine.memory + 2n * GiB;
    expect(memory.last - memory.start + 1n).toBe(size);
  });
});

describe("the PCI holes of x86 machines", () => {
  it("lie between RAM and the interrupt controllers, and above all memory at a gigabyte", () => {
    const machine: Machine = { type: "q35", memory: 5n * GiB, maxMemory: 8n * GiB, slots: 1 };
    expect(place(machine, "pci-hole")).toBe("[0x80000000, 0xfebfffff]");
    expect(place(machine, "device-memory")).toBe("[0x1c0000000, 0x2bfffffff]");
    expect(place(machine, "pci-hole64")).toBe("[0x2c0000000, 0xabfffffff]");
  });

  it("have the size that was asked for, none included", () => {
    const machine: Machine = { type: "pc", memory: GiB };
    expect(place(machine, "pci-hole64")).toBe("[0x100000000, 0x17fffffff]");
    expect(place({ ...machine, pciHole64Size: TiB }, "pci-hole64")).toBe("[0x100000000, 0x100ffffffff]");
    expect(place({ ...machine, pciHole64Size: 0n }, "pci-hole64")).toBeUndefined();
  });

  it("send RAM to 1 TiB as soon as their last byte is in the HyperTransport hole", () => {
    const machine: Machine = { type: "q35", memory: 978n * GiB, amdVcpu: true };
    const start = (pciHole64Size: bigint) => place({ ...machine, pciHole64Size }, "ram-above-4g");
    expect(start(32n * GiB)).toMatch(/^\[0x100000000,/);
    expect(start(32n * GiB + 1n)).toMatch(/^\[0x10000000000,/);
  });

  it("end at a gigabyte, and count to the byte when they are near the HyperTransport hole", () => {
    expect(place({ type: "pc", memory: GiB, pciHole64Size: GiB + 1n }, "pci-hole64")).toBe(
      "[0x100000000, 0x17fffffff]",
    );
  });

  it("are not required: only memory is", () => {
    const machine: Machine = { type: "q35", memory: 8n * GiB, maxMemory: 16n * GiB };
    const required = machineWindows(machine).filter((window) => window.required);
    expect(required.map(({ name }) => name)).toEqual(["ram-below-4g", "ram-above-4g", "device-memory"]);
  });
});

describe("the RAM of x86 machines is rounded as QEMU rounds it:", () => {
  it("up to 8 KiB", () => {
    expect(place({ type: "q35", memory: 4n * GiB + 1n }, "ram-above-4g")).toBe("[0x100000000, 0x180001fff]");
    expect(place({ type: "pc", memory: GiB - 8191n }, "ram-below-4g")).toBe("[0x0, 0x3fffffff]");
  });

  it("before it is decided how much of it lies below 4 GiB", () => {
    expect(place({ type: "q35", memory: 0xb0000000n - 1n }, "ram-below-4g")).toBe("[0x0, 0x7fffffff]");
    expect(place({ type: "pc", memory: 0xe0000000n - 1n }, "ram-below-4g")).toBe("[0x0, 0xbfffffff]");
  });
});

describe("an old version of an x86 machine", () => {
  const huge: Machine = { type: "q35", memory: 1536n * GiB, amdVcpu: true };
  const plugged: Machine = { type: "pc", memory: GiB, maxMemory: 2n * GiB, slots: 2 };

  it("up to 7.0 leaves an AMD guest's memory where the HyperTransport hole is", () => {
    for (const version of ["2.4", "6.2", "7.0"]) {
      expect(place({ ...huge, version }, "ram-above-4g")).toBe("[0x100000000, 0x1807fffffff]");
    }
    for (const version of ["7.1", "10.0", "11.1"]) {
      expect(place({ ...huge, version }, "ram-above-4g")).toBe("[0x10000000000, 0x27f7fffffff]");
    }
  });

  it("up to 2.10 has no 64-bit hole, unless it is asked for", () => {
    expect(place({ ...huge, version: "2.10" }, "pci-hole64")).toBeUndefined();
    expect(place({ ...huge, version: "2.11" }, "pci-hole64")).toBe("[0x18080000000, 0x1887fffffff]");
    expect(place({ ...huge, version: "2.10", xPciHole64Fix: true }, "pci-hole64")).toBe(
      "[0x18080000000, 0x1887fffffff]",
    );
    expect(place({ ...huge, xPciHole64Fix: false }, "pci-hole64")).toBeUndefined();
  });

  it("up to 2.4 has its 64-bit hole where memory is plugged, and needs no more phys-bits than for that", () => {
    const machine: Machine = { ...plugged, maxMemory: 70n * GiB, xPciHole64Fix: true };
    expect(place({ ...machine, version: "2.4" }, "pci-hole64")).toBe("[0x100000000, 0x17fffffff]");
    expect(place({ ...machine, version: "2.5" }, "pci-hole64")).toBe("[0x12c0000000, 0x133fffffff]");
    expect(() => machineWindows({ ...machine, version: "2.4", physBits: 36 })).not.toThrow();
    expect(() => machineWindows({ ...machine, version: "2.5", physBits: 36 })).toThrow(
      "phys-bits too low (36)",
    );
  });

  it("up to 2.1 has no gigabyte to spare for each slot", () => {
    expect(place({ ...plugged, version: "2.1" }, "device-memory")).toBe("[0x100000000, 0x13fffffff]");
    expect(place({ ...plugged, version: "2.2" }, "device-memory")).toBe("[0x100000000, 0x1bfffffff]");
  });

  it("up to 2.0 can have no memory plugged", () => {
    expect(() => machineWindows({ ...plugged, version: "2.0" })).toThrow(
      `"-memory 'slots|maxmem'" is not supported by pc-i440fx-2.0`,
    );
    expect(() => machineWindows({ type: "pc", memory: GiB, version: "2.0" })).not.toThrow();
    expect(() => machineWindows({ type: "pc", memory: GiB, maxMemory: GiB, version: "2.0" })).not.toThrow();
  });

  it("up to 1.7 has 3.5 GiB below 4 GiB, however much there is", () => {
    const machine: Machine = { type: "pc", memory: 8n * GiB };
    expect(place({ ...machine, version: "1.7" }, "ram-below-4g")).toBe("[0x0, 0xdfffffff]");
    expect(place({ ...machine, version: "2.0" }, "ram-below-4g")).toBe("[0x0, 0xbfffffff]");
  });
});

describe("an x86 guest is refused, as QEMU does, when", () => {
  it.each<[string, Machine, string]>([
    [
      "there are slots for no memory",
      { type: "q35", memory: GiB, slots: 0 },
      "slots specified but no max-size",
    ],
    [
      "it can have no more than it has",
      { type: "q35", memory: GiB, maxMemory: GiB, slots: 1 },
      "memory slots were specified but maxmem 0x40000000 is equal to the initial memory size",
    ],
    [
      "it can have less than it has",
      { type: "q35", memory: GiB, maxMemory: GiB - 1n },
      "maxmem 0x3fffffff must be at least the initial memory size, 0x40000000",
    ],
    [
      "it can have less than it has after rounding",
      { type: "q35", memory: GiB + 1n, maxMemory: GiB + 8191n },
      "must be at least the initial memory size, 0x40002000",
    ],
    [
      "parts of a page can be plugged",
      { type: "pc", memory: GiB, maxMemory: GiB + 8193n },
      "aligned to a multiple of 4096 bytes",
    ],
    [
      "RAM leaves no hole for PCI below 4 GiB",
      { type: "pc", memory: 4076n * MiB, maxRamBelow4g: 4n * GiB },
      "leave no 32-bit PCI hole below 0xfec00000; lower max-ram-below-4g",
    ],
    [
      "the CPU cannot address the end of the 64-bit hole",
      { type: "q35", memory: 33n * GiB, physBits: 36 },
      "address space limit 0xfffffffff < 0x10bfffffff, phys-bits too low (36); it takes phys-bits=37",
    ],
    ["no CPU can", { type: "q35", memory: 2n ** 52n }, "phys-bits too low (52); give less memory"],
  ])("%s", (_when, machine, reason) => {
    expect(() => machineWindows(machine)).toThrow(`QEMU refuses this guest: `);
    expect(() => machineWindows(machine)).toThrow(reason);
  });

  it("and told what it takes, where any CPU has so many", () => {
    const most = (1n << 52n) - 34n * GiB;
    const machine: Machine = { type: "q35", memory: most, physBits: 48 };
    expect(() => machineWindows(machine)).toThrow("it takes phys-bits=52, or less memory");
    expect(() => machineWindows({ ...machine, memory: most + 1n })).toThrow("too low (48); give less memory");
  });

  it("and not one step before that", () => {
    const most: Machine = { type: "pc", memory: 4076n * MiB - 8192n, maxRamBelow4g: 4n * GiB };
    expect(place(most, "pci-hole")).toBe("[0xfebfe000, 0xfebfffff]");
    expect(place({ ...most, memory: 4n * GiB }, "ram-below-4g")).toBe("[0x0, 0xbfffffff]");
    expect(place({ type: "q35", memory: GiB, maxMemory: GiB }, "device-memory")).toBeUndefined();
    expect(place({ type: "q35", memory: GiB, maxMemory: GiB, slots: 0 }, "device-memory")).toBeUndefined();
    expect(place({ type: "q35", memory: 30n * GiB, physBits: 36 }, "pci-hole64")).toBe(
      "[0x800000000, 0xfffffffff]",
    );
    expect(() => machineWindows({ type: "q35", memory: 30n * GiB + 1n, physBits: 36 })).toThrow(
      "too low (36)",
    );
  });
});

const sizes = fc.oneof(
  fc.bigInt({ min: 1n, max: 5n * GiB }),
  fc.bigInt({ min: 900n, max: 1100n }).map((gigabytes) => gigabytes * GiB),
  fc.bigInt({ min: 1n, max: 2n ** 45n }),
);
const machines = fc.record<PcMachine>(
  {
    type: fc.constantFrom("pc", "q35"),
    memory: sizes,
    version: fc.constantFrom("2.4", "2.10", "7.0", "7.1", "11.1"),
    amdVcpu: fc.boolean(),
    cxl: fc.boolean(),
    cxlFmwSize: fc.bigInt({ min: 0n, max: 64n }).map((windows) => windows * 256n * MiB),
    pciHole64Size: fc.bigInt({ min: 0n, max: 64n * GiB }),
    maxRamBelow4g: fc.bigInt({ min: 1n, max: 3584n }).map((megabytes) => megabytes * MiB),
  },
  { requiredKeys: ["type", "memory"] },
);
const withPlugged = fc
  .tuple(machines, fc.option(fc.tuple(fc.bigInt({ min: 1n, max: 2n ** 27n }), fc.nat({ max: 256 }))))
  .map(([machine, plugged]): PcMachine => {
    if (plugged === null) return machine;
    const [more, slots] = plugged;
    return { ...machine, maxMemory: rounded(machine.memory) + more * 8192n, slots };
  });

function rounded(memory: bigint): bigint {
  return ((memory + 8191n) / 8192n) * 8192n;
}

describe("the windows of any x86 machine", () => {
  it("ascend, do not overlap, and hold all of the memory", () => {
    fc.assert(
      fc.property(withPlugged, (machine) => {
        const windows = machineWindows(machine);
        for (const [n, { start, last }] of windows.entries()) {
          expect(start).toBeLessThanOrEqual(last);
          if (n > 0) expect(start).toBeGreaterThan((windows[n - 1] as Window).last);
        }
        const held = windows.filter(({ name }) => name.startsWith("ram-"));
        const size = held.reduce((sum, { start, last }) => sum + last - start + 1n, 0n);
        expect(size).toBe(rounded(machine.memory));
      }),
    );
  });

  it("keep clear of the HyperTransport hole for an AMD vCPU from 7.1 on, and never move for nothing", () => {
    const hole = { start: 0xfd00000000n, last: 0xffffffffffn };
    fc.assert(
      fc.property(withPlugged, (machine) => {
        const { amdVcpu, version = "11.1" } = machine;
        const windows = machineWindows(machine);
        const still = machineWindows({ ...machine, amdVcpu: false });
        if (!amdVcpu || !["7.1", "11.1"].includes(version)) {
          expect(windows).toEqual(still);
          return;
        }
        // Up to a gigabyte: the end of the 64-bit hole is rounded, but not where it is checked.
        for (const { start, last } of windows)
          expect(start > hole.last || last < hole.start + GiB).toBe(true);
        if (still.every(({ last }) => last < hole.start)) expect(windows).toEqual(still);
        if (still.some(({ required, last }) => required && last >= hole.start)) {
          expect(windows.every(({ start }) => start < 4n * GiB || start > hole.last)).toBe(true);
        }
      }),
    );
  });

  it("fit into just so many phys-bits, and not into one less", () => {
    fc.assert(
      fc.property(withPlugged, (machine) => {
        const fits = (physBits: number) => {
          try {
            machineWindows({ ...machine, physBits });
            return true;
          } catch {
            return false;
          }
        };
        const bits = Array.from({ length: 21 }, (_, n) => 32 + n);
        const least = bits.find(fits) as number;
        expect(bits.map(fits)).toEqual(bits.map((each) => each >= least));
        const { version, pciHole64Size = 2n } = machine as { version?: string; pciHole64Size?: bigint };
        // Where a hole is shown that is a whole number of gigabytes, its end is what counts.
        if (version === "2.4" || version === "2.10" || pciHole64Size % GiB !== 0n || pciHole64Size === 0n)
          return;
        expect(1n << BigInt(least)).toBeGreaterThan((machineWindows(machine).at(-1) as Window).last);
      }),
    );
  });
});
