import { describe, expect, it } from "vitest";
import type { MicrovmMachine } from "../../../src/plan/machines/microvm.ts";
import { machineWindows } from "../../../src/plan/machines.ts";
import { formatRange } from "../../../src/ranges/range.ts";

const GiB = 1n << 30n;

function shown(machine: Omit<MicrovmMachine, "type">): string[] {
  return machineWindows({ type: "microvm", ...machine }).map(
    (window) => `${window.name} ${formatRange(window)}${window.required ? "" : " optional"}`,
  );
}

describe("a microvm", () => {
  // As QEMU 7.2, 10.0 and 11.1 show it with pcie=on.
  it("has up to 3 GiB below 4 GiB, and its 64-bit hole in the last quarter of what the CPU can address", () => {
    expect(shown({ memory: 4n * GiB, physBits: 40 })).toEqual([
      "ram-below-4g [0x0, 0xbfffffff]",
      "pci-hole [0xc0000000, 0xdfffffff] optional",
      "ram-above-4g [0x100000000, 0x13fffffff]",
      "pci-hole64 [0xc000000000, 0xffffffffff] optional",
    ]);
  });

  it("has all of it below when it is no more than that, and no 64-bit hole when nobody says how long addresses are", () => {
    expect(shown({ memory: 3n * GiB })).toEqual([
      "ram-below-4g [0x0, 0xbfffffff]",
      "pci-hole [0xc0000000, 0xdfffffff] optional",
    ]);
    expect(shown({ memory: 3n * GiB + 1n })).toContain("ram-above-4g [0x100000000, 0x100001fff]");
  });

  it("gives nothing for memory that could be plugged elsewhere, and refuses it where QEMU does", () => {
    const memory = { memory: 4n * GiB, physBits: 40 };
    expect(shown({ ...memory, maxMemory: 8n * GiB, slots: 2 })).toEqual(shown(memory));
    expect(() => shown({ ...memory, slots: 2 })).toThrow("slots specified but no max-size");
  });

  it("is refused when its 64-bit hole would hide RAM", () => {
    expect(shown({ memory: 47n * GiB, physBits: 36 })).toContain("ram-above-4g [0x100000000, 0xbffffffff]");
    expect(() => shown({ memory: 47n * GiB + 1n, physBits: 36 })).toThrow(
      "with 36 phys-bits the 64-bit PCI hole would cover RAM",
    );
  });
});
