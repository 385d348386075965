import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { largestMemory } from "../../src/plan/largest-memory.ts";
import { windowFits } from "../../src/plan/layout.ts";
import { type Machine, machineWindows } from "../../src/plan/machines.ts";
import type { Plan } from "../../src/plan/plan.ts";
import type { Range } from "../../src/ranges/range.ts";
import { RangeSet } from "../../src/ranges/range-set.ts";
import { finish } from "../../src/ranges/steps.ts";
import { runs } from "../runs.ts";

const GiB = 1n << 30n;
const TiB = 1n << 40n;
/** A host that maps so much at once leaves few sizes to try one by one. */
const UNIT = 256n << 20n;

function planWithout(reserved: readonly Range[], alignment: bigint | null): Plan {
  return {
    ranges: RangeSet.from(reserved).invert(),
    alignment,
    exact: true,
    unprobed: [],
    claims: [],
    certain: [],
  };
}

function fits(machine: Machine, plan: Plan): boolean {
  try {
    return machineWindows(machine).every((window) => !window.required || windowFits(plan, window));
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** All sizes below the machine's own, from the largest down. */
function bruteForce(machine: Machine, plan: Plan, unit: bigint): bigint | undefined {
  for (let memory = ((machine.memory - 1n) / unit) * unit; memory > 0n; memory -= unit) {
    if (fits({ ...machine, memory }, plan)) return memory;
  }
  return undefined;
}

const memory = fc.bigInt(1n, 40n * 4n).map((units) => units * UNIT);
const more = fc.option(
  fc.bigInt(0n, 16n).map((units) => units * UNIT),
  { nil: undefined },
);
const machine: fc.Arbitrary<Machine> = fc
  .tuple(
    fc.constantFrom<"pc" | "q35" | "virt" | "microvm" | "x86-64" | "aarch64">(
      "pc",
      "q35",
      "virt",
      "microvm",
      "x86-64",
      "aarch64",
    ),
    memory,
    more,
    fc.boolean(),
  )
  .map(([type, memory, plugged, amdVcpu]): Machine => {
    if (type === "x86-64" || type === "aarch64") {
      return { type: "cloud-hypervisor", arch: type, memory, hotplugSize: plugged };
    }
    const maxMemory = plugged === undefined ? undefined : memory + plugged;
    if (type === "pc" || type === "q35") return { type, memory, maxMemory, amdVcpu };
    return { type, memory, maxMemory };
  });
const place = fc.bigInt(0n, 45n * 4n).map((units) => units * UNIT);
const reserved = fc.array(
  fc
    .tuple(place, fc.constantFrom(1n, UNIT, 8n * UNIT))
    .map(([start, size]) => ({ start, last: start + size - 1n })),
  { maxLength: 4 },
);
/** What forbids the one place of RAM or the other, and what forbids neither. */
const TAKEN = [
  { start: 40n * GiB, last: 40n * GiB + 0xffffn },
  { start: 600n * GiB, last: 600n * GiB + 0xffffn },
  { start: 0xfd00000000n, last: 0xffffffffffn },
  { start: TiB, last: 2n ** 64n - 1n },
  { start: 3n * TiB, last: 2n ** 64n - 1n },
] as const;
/** Their 64-bit hole ends about where the vCPU can address no more, or where AMD's hole is: it depends on RAM's end. */
const jumping = fc
  .tuple(
    fc.constantFrom<"pc" | "q35">("pc", "q35"),
    fc.constantFrom(
      { end: 64n * GiB, physBits: 36, unit: 32n << 20n },
      { end: 0xfd00000000n, amdVcpu: true, unit: 128n << 20n },
    ),
    fc.integer({ min: 0, max: 4 }),
    fc.bigInt(-64n, 64n),
    fc.bigInt(1n, 200n),
  )
  .map(([type, { end, unit, ...vcpu }, slots, more, less]) => {
    const hole64 = type === "q35" ? 32n * GiB : 2n * GiB;
    const maxMemory = end - hole64 - 2n * GiB - BigInt(slots) * GiB + more * unit;
    return { type, ...vcpu, slots, maxMemory, memory: maxMemory - less * unit, unit };
  });

describe("the largest memory that fits", () => {
  it("is the one that brute force finds, on every machine", () => {
    fc.assert(
      fc.property(machine, reserved, (given, taken) => {
        const plan = planWithout(taken, UNIT);
        expect(finish(largestMemory(given, plan))).toBe(bruteForce(given, plan, UNIT));
      }),
      { numRuns: runs(125, 5_000) },
    );
  });

  it("is so where maps jump to and fro within every gigabyte, for what may be plugged", () => {
    fc.assert(
      fc.property(jumping, fc.subarray([...TAKEN]), ({ unit, ...given }, taken) => {
        const plan = planWithout(taken, unit);
        expect(finish(largestMemory(given, plan))).toBe(bruteForce(given, plan, unit));
      }),
      { numRuns: runs(25, 2_000) },
    );
  });

  it.each<[string, Machine, Range, bigint]>([
    [
      "where RAM moves beyond an aperture of 40 bits",
      { type: "q35", amdVcpu: true, memory: 0x7d30000000n, maxMemory: 0xf47c000000n },
      { start: TiB, last: 2n ** 64n - 1n },
      500n * GiB,
    ],
    [
      "where RAM moves beyond what is taken below it",
      { type: "pc", amdVcpu: true, memory: 0xd46d2c0000n, maxMemory: 0xfb26dc5000n, slots: 4 },
      { start: 600n * GiB, last: 600n * GiB + 0xffffn },
      0xd466dc4000n,
    ],
  ])("is so to QEMU's 8 KiB %s in every gigabyte", (_where, machine, taken, expected) => {
    const plan = planWithout([taken], 4096n);
    expect(bruteForce(machine, plan, 8192n)).toBe(expected);
    expect(finish(largestMemory(machine, plan))).toBe(expected);
  });

  it("is so to QEMU's 8 KiB, where AMD's vCPUs have their RAM moved and where they have not", () => {
    const hyperTransport = { start: 0xfd00000000n, last: 0xffffffffffn };
    const plan = planWithout([hyperTransport, { start: 2n * TiB, last: 2n ** 64n - 1n }], 4096n);
    for (const machine of [
      { type: "q35", memory: 3n * TiB, amdVcpu: false },
      { type: "q35", memory: 3n * TiB, amdVcpu: true },
      { type: "pc", memory: 3n * TiB, version: "6.2", amdVcpu: true },
      { type: "virt", memory: 3n * TiB },
    ] satisfies Machine[]) {
      const largest = finish(largestMemory(machine, plan)) as bigint;
      expect(largest % 8192n).toBe(0n);
      expect(fits({ ...machine, memory: largest }, plan)).toBe(true);
      expect(fits({ ...machine, memory: largest + 8192n }, plan)).toBe(false);
    }
    const below = finish(largestMemory({ type: "q35", memory: 3n * TiB, amdVcpu: false }, plan));
    expect(below).toBe(0xfd00000000n - 4n * GiB + 2n * GiB);
    const moved = finish(largestMemory({ type: "q35", memory: 3n * TiB, amdVcpu: true }, plan));
    expect(moved).toBe(TiB + 2n * GiB);
  });

  it("is none where not even a little fits", () => {
    const plan = planWithout([{ start: 0n, last: 4095n }], 4096n);
    expect(finish(largestMemory({ type: "q35", memory: 3n * TiB }, plan))).toBeUndefined();
  });
});
