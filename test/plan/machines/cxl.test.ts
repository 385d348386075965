import { describe, expect, it } from "vitest";
import type { PcMachine } from "../../../src/plan/machines/pc.ts";
import { machineWindows } from "../../../src/plan/machines.ts";
import { formatRange } from "../../../src/ranges/range.ts";

const MiB = 1n << 20n;
const GiB = 1n << 30n;

/** What lies above 4 GiB. */
function above(machine: PcMachine): string[] {
  return machineWindows(machine)
    .filter(({ start }) => start >= 4n * GiB)
    .map((window) => `${window.name} ${formatRange(window)}${window.required ? "" : " optional"}`);
}

// As QEMU 10.0 and 11.1 show cxl_host_reg, cxl-fixed-memory-region and the host bridge's pci-hole64-start.
describe("CXL", () => {
  const machine: PcMachine = { type: "q35", memory: 4608n * MiB, cxl: true };

  it("has its registers where memory ends, and moves the 64-bit hole by them", () => {
    expect(above(machine)).toEqual([
      "ram-above-4g [0x100000000, 0x19fffffff]",
      "cxl-host [0x1a0000000, 0x1a00fffff] optional",
      "pci-hole64 [0x1c0000000, 0x9bfffffff] optional",
    ]);
    expect(above({ ...machine, memory: 4n * GiB }).at(-1)).toBe(
      "pci-hole64 [0x1c0000000, 0x9bfffffff] optional",
    );
    expect(above({ ...machine, memory: 4n * GiB, cxl: false }).at(-1)).toBe(
      "pci-hole64 [0x180000000, 0x97fffffff] optional",
    );
  });

  it("lies above what can be plugged", () => {
    expect(above({ ...machine, maxMemory: 8n * GiB, slots: 1 })).toEqual([
      "ram-above-4g [0x100000000, 0x19fffffff]",
      "device-memory [0x1c0000000, 0x2dfffffff]",
      "cxl-host [0x2e0000000, 0x2e00fffff] optional",
      "pci-hole64 [0x300000000, 0xaffffffff] optional",
    ]);
  });

  it("has its fixed windows at a multiple of 256 MiB, one behind the other", () => {
    expect(above({ ...machine, memory: 4n * GiB, cxlFmwSize: 4352n * MiB }).slice(1)).toEqual([
      "cxl-host [0x180000000, 0x1800fffff] optional",
      "cxl-fmw [0x190000000, 0x29fffffff] optional",
      "pci-hole64 [0x2c0000000, 0xabfffffff] optional",
    ]);
    expect(above({ ...machine, memory: 4n * GiB, cxlFmwSize: 0n })).toHaveLength(3);
  });

  it("sends an AMD guest's memory to 1 TiB when it is the one thing too many", () => {
    const near: PcMachine = { type: "q35", memory: 978n * GiB, amdVcpu: true };
    expect(above(near)[0]).toBe("ram-above-4g [0x100000000, 0xf4ffffffff]");
    expect(above({ ...near, cxl: true })[0]).toBe("ram-above-4g [0x10000000000, 0x1f3ffffffff]");
  });
});
