import { describe, expect, it } from "vitest";
import { type Machine, machineWindows } from "../../src/plan/machines.ts";

const GiB = 1n << 30n;

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
