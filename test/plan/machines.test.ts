import { describe, expect, it } from "vitest";
import type { Window } from "../../src/plan/layout.ts";
import { type Machine, machineWindows } from "../../src/plan/machines.ts";
import { formatRange } from "../../src/ranges/range.ts";

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
  it.each<[string, Machine, bigint]>([
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

  it("leave no hole below 4 GiB when RAM takes it all", () => {
    const machine: Machine = { type: "pc", memory: 4095n * MiB, maxRamBelow4g: 4n * GiB };
    expect(place(machine, "ram-below-4g")).toBe("[0x0, 0xffefffff]");
    expect(place(machine, "pci-hole")).toBeUndefined();
  });

  it("are not required: only memory is", () => {
    const machine: Machine = { type: "q35", memory: 8n * GiB, maxMemory: 16n * GiB };
    const required = machineWindows(machine).filter((window) => window.required);
    expect(required.map(({ name }) => name)).toEqual(["ram-below-4g", "ram-above-4g", "device-memory"]);
  });
});

describe("the Arm machine virt", () => {
  it("has its RAM from 1 GiB in one piece, and a high PCIe window at 512 GiB", () => {
    const machine: Machine = { type: "virt", memory: 64n * GiB };
    expect(machineWindows(machine).map((window) => `${window.name} ${formatRange(window)}`)).toEqual([
      "pci-hole [0x10000000, 0x3efeffff]",
      "ram [0x40000000, 0x103fffffff]",
      "pci-hole64 [0x8000000000, 0xffffffffff]",
    ]);
  });

  it("has room for more memory above the RAM, at a gigabyte, with a gigabyte more for each slot", () => {
    const machine: Machine = {
      type: "virt",
      memory: GiB + 512n * MiB,
      maxMemory: 4n * GiB,
      slots: 2,
    };
    expect(place(machine, "ram")).toBe("[0x40000000, 0x9fffffff]");
    expect(place(machine, "device-memory")).toBe("[0xc0000000, 0x1dfffffff]");
  });

  it("moves the high window up by whole windows when memory or its own size asks for it", () => {
    expect(place({ type: "virt", memory: 600n * GiB }, "pci-hole64")).toBe("[0x10000000000, 0x17fffffffff]");
    // RAM up to 512 GiB exactly: redistributors and ECAM come first, and the window no longer fits there.
    expect(place({ type: "virt", memory: 511n * GiB }, "pci-hole64")).toBe("[0x10000000000, 0x17fffffffff]");
    expect(place({ type: "virt", memory: GiB, highmemMmioSize: 2n * TiB }, "pci-hole64")).toBe(
      "[0x20000000000, 0x3ffffffffff]",
    );
  });
});

describe("a machine beyond 64 bits", () => {
  it.each<Machine>([
    { type: "q35", memory: 2n ** 64n - 1n },
    { type: "q35", memory: GiB, pciHole64Size: 2n ** 64n - 1n },
    { type: "pc", memory: GiB, maxMemory: 2n ** 64n - 1n, slots: 256 },
    { type: "virt", memory: 2n ** 64n - 1n },
    { type: "virt", memory: 2n ** 63n, highmemMmioSize: 2n ** 63n },
  ])("is refused: $type with $memory bytes", (machine) => {
    expect(() => machineWindows(machine)).toThrow(RangeError);
  });
});
