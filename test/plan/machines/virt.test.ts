import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { VirtMachine } from "../../../src/plan/machines/virt.ts";
import { type Machine, machineWindows } from "../../../src/plan/machines.ts";
import { formatRange } from "../../../src/ranges/range.ts";

const MiB = 1n << 20n;
const GiB = 1n << 30n;
const TiB = 1n << 40n;

function place(machine: Machine, name: string): string | undefined {
  const window = machineWindows(machine).find((each) => each.name === name);
  return window && formatRange(window);
}

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

  it("needs its memory and what can be plugged, and none of its PCI windows", () => {
    const machine: Machine = { type: "virt", memory: GiB, maxMemory: 4n * GiB, slots: 2 };
    expect(machineWindows(machine).map(({ name, required }) => [name, required])).toEqual([
      ["pci-hole", false],
      ["ram", true],
      ["device-memory", true],
      ["pci-hole64", false],
    ]);
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

// Where QEMU 10.0 and 11.1 have the alias pcie-mmio-high.
describe("the high PCIe window of virt", () => {
  const machine: VirtMachine = { type: "virt", memory: 511n * GiB };

  it("is not there when it is off, nothing is to be above 4 GiB, or the CPU cannot address it", () => {
    expect(place({ ...machine, highmemMmio: false }, "pci-hole64")).toBeUndefined();
    expect(place({ ...machine, memory: GiB, highmem: false }, "pci-hole64")).toBeUndefined();
    expect(place({ ...machine, memory: 600n * GiB, physBits: 40 }, "pci-hole64")).toBeUndefined();
    expect(place({ ...machine, memory: 600n * GiB, physBits: 44 }, "pci-hole64")).toBe(
      "[0x10000000000, 0x17fffffffff]",
    );
    expect(place({ ...machine, memory: GiB, physBits: 40 }, "pci-hole64")).toBe(
      "[0x8000000000, 0xffffffffff]",
    );
    expect(
      place({ ...machine, memory: GiB, physBits: 40, highmemMmioSize: TiB }, "pci-hole64"),
    ).toBeUndefined();
  });

  it("moves down when nothing else is there, but where the layout is not compact", () => {
    const alone = { ...machine, highmemEcam: false, highmemRedists: false };
    const [low, high] = ["[0x8000000000, 0xffffffffff]", "[0x10000000000, 0x17fffffffff]"];
    expect(place(alone, "pci-hole64")).toBe(low);
    expect(place({ ...alone, version: "7.2" }, "pci-hole64")).toBe(low);
    expect(place({ ...alone, version: "7.1" }, "pci-hole64")).toBe(high);
    expect(place({ ...alone, version: "7.1", compactHighmem: true }, "pci-hole64")).toBe(low);
    expect(place({ ...alone, compactHighmem: false }, "pci-hole64")).toBe(high);
    expect(place({ ...machine, highmemEcam: false }, "pci-hole64")).toBe(high);
    expect(place({ ...machine, highmemRedists: false }, "pci-hole64")).toBe(high);
    expect(place({ ...alone, highmemEcam: true }, "pci-hole64")).toBe(high);
    expect(place({ ...alone, highmemRedists: true }, "pci-hole64")).toBe(high);
  });

  it("has the ECAM below it from 3.0 on", () => {
    const version = { ...machine, highmemRedists: false, compactHighmem: true };
    expect(place({ ...version, version: "2.12" }, "pci-hole64")).toBe("[0x8000000000, 0xffffffffff]");
    expect(place({ ...version, version: "3.0" }, "pci-hole64")).toBe("[0x10000000000, 0x17fffffffff]");
  });
});

describe("an Arm guest is refused, as QEMU does, when", () => {
  it.each<[string, Machine, string]>([
    [
      "its memory does not end below 4 GiB, and has to",
      { type: "virt", memory: 3n * GiB, maxMemory: 4n * GiB, highmem: false },
      "addressing is limited to 32 bits, but memory exceeds it by 1073741824 bytes; leave highmem on",
    ],
    [
      "the CPU cannot address its memory",
      { type: "virt", memory: TiB, physBits: 40 },
      "limited to 40 bits, but memory exceeds it by 1073741824 bytes; give less memory",
    ],
    [
      "there are slots for no memory",
      { type: "virt", memory: GiB, slots: 1 },
      "slots specified but no max-size",
    ],
  ])("%s", (_when, machine, reason) => {
    expect(() => machineWindows(machine)).toThrow(`QEMU refuses this guest: `);
    expect(() => machineWindows(machine)).toThrow(reason);
  });

  it("and not one step before that", () => {
    expect(place({ type: "virt", memory: 3n * GiB, highmem: false }, "ram")).toBe("[0x40000000, 0xffffffff]");
    expect(place({ type: "virt", memory: TiB - GiB, physBits: 40 }, "ram")).toBe(
      "[0x40000000, 0xffffffffff]",
    );
  });
});

describe("the windows of any virt", () => {
  const machines = fc.record<VirtMachine>(
    {
      type: fc.constant("virt"),
      memory: fc.oneof(
        fc.bigInt({ min: 1n, max: 1n << 43n }),
        // Up to where a window could begin.
        fc.bigInt({ min: 1n, max: 16n }).map((windows) => windows * 512n * GiB - GiB),
      ),
      version: fc.constantFrom("2.12", "7.1", "7.2", "11.1"),
      physBits: fc.constantFrom(44, 48, 52),
      compactHighmem: fc.boolean(),
      highmemRedists: fc.boolean(),
      highmemEcam: fc.boolean(),
      highmemMmio: fc.boolean(),
      highmemMmioSize: fc.integer({ min: 39, max: 50 }).map((bits) => 1n << BigInt(bits)),
    },
    { requiredKeys: ["type", "memory"] },
  );

  /** The first multiple of `size` from which on all of it is free, tried one after the other. */
  function firstFit(taken: bigint, size: bigint): bigint {
    let start = 0n;
    while (start < taken) start += size;
    return start;
  }

  it("have their RAM in one piece, and the high window at the first multiple of its size above all else", () => {
    fc.assert(
      fc.property(machines, (machine) => {
        const windows = machineWindows(machine);
        const [ram, high] = ["ram", "pci-hole64"].map((name) => windows.find((each) => each.name === name));
        const size = ((machine.memory + 8191n) / 8192n) * 8192n;
        expect(ram).toEqual({ name: "ram", required: true, start: GiB, last: GiB + size - 1n });
        const isOld = machine.version === "2.12" || machine.version === "7.1";
        const keepsRoom = machine.compactHighmem === undefined ? isOld : !machine.compactHighmem;
        let top = ((GiB + size + GiB - 1n) / GiB) * GiB;
        if (top < 256n * GiB) top = 256n * GiB;
        const redists = machine.highmemRedists ?? true;
        const ecam = machine.highmemEcam ?? machine.version !== "2.12";
        // Both are smaller than what memory ends at a multiple of.
        if (redists || keepsRoom) top += 64n * MiB;
        if (ecam || keepsRoom)
          top = (top / (256n * MiB) + (top % (256n * MiB) > 0n ? 1n : 0n) + 1n) * 256n * MiB;
        const windowSize = machine.highmemMmioSize ?? 512n * GiB;
        const start = firstFit(top, windowSize);
        const isThere =
          machine.highmemMmio !== false && start + windowSize <= 1n << BigInt(machine.physBits ?? 52);
        expect(high?.start).toBe(isThere ? start : undefined);
        if (high) expect(high.last - high.start + 1n).toBe(windowSize);
      }),
    );
  });
});
