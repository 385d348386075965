import { RangeSet } from "../ranges/range-set.ts";
import { formatSize } from "../ranges/size.ts";
import { flatInSteps, type Steps } from "../ranges/steps.ts";
import { listed } from "./gaps.ts";
import { largestMemory } from "./largest-memory.ts";
import { type CheckedLayout, requiredFit, type Window } from "./layout.ts";
import { fullName, versionsOf } from "./machines/versions.ts";
import { type Machine, machineWindows } from "./machines.ts";
import type { Plan } from "./plan.ts";

/** What can be done about a layout, with a sentence for people. */
export type Remedy = { readonly detail: string } & (
  | { readonly kind: "amd-vcpu" }
  | { readonly kind: "machine-version"; readonly version: string }
  | { readonly kind: "memory"; readonly memory: bigint }
  | { readonly kind: "phys-bits"; readonly bits: number }
  | { readonly kind: "without-device"; readonly device: string }
  | { readonly kind: "probe"; readonly devices: readonly string[] }
);

/** What of the machine to change so that it fits; each change does it alone, and was tried. Memory in bytes. */
export function* machineRemedies(machine: Machine, plan: Plan): Steps<Remedy[]> {
  const remedies: Remedy[] = [];
  if ((machine.type === "pc" || machine.type === "q35") && !machine.amdVcpu) {
    if (machineFits({ ...machine, amdVcpu: true }, plan)) remedies.push(AMD_VCPU);
  }
  const version = newerVersion(machine, plan);
  if (version) remedies.push(version);
  const memory = yield* largestMemory(machine, plan);
  if (memory !== undefined) {
    const detail = `give the guest at most ${formatSize(memory)} of memory, everything else as it is`;
    remedies.push({ kind: "memory", memory, detail });
  }
  return remedies;
}

const AMD_VCPU: Remedy = {
  kind: "amd-vcpu",
  detail:
    "give the guest a vCPU of AMD's (-cpu EPYC, or vendor=AuthenticAMD): QEMU then moves the RAM above 4 GiB to 1 TiB, clear of the HyperTransport hole",
};

/** The oldest version of the machine that is newer than its own, and fits. */
function newerVersion(machine: Machine, plan: Plan): Remedy | undefined {
  if (machine.type !== "pc" && machine.type !== "q35" && machine.type !== "virt") return undefined;
  if (machine.version === undefined) return undefined;
  const { type } = machine;
  const versions = versionsOf(type);
  const newer = versions.slice(versions.indexOf(machine.version) + 1);
  const version = newer.find((version) => machineFits({ ...machine, version }, plan));
  if (version === undefined) return undefined;
  const detail = `take the machine type ${fullName(type, version)}; a guest that exists notices the change`;
  return { kind: "machine-version", version, detail };
}

/**
 * The most bits that keep everything the guest can address, and its firmware puts BARs at, inside of what the IOMMU
 * translates; when the machine has more, and runs with so few.
 */
export function physBitsRemedy(machine: Machine, { ranges, ...plan }: Plan): Remedy | undefined {
  const hull = ranges.hull();
  if (hull === null || !("physBits" in machine) || machine.physBits === undefined) return undefined;
  const bits = (hull.last + 1n).toString(2).length - 1;
  if (machine.physBits <= bits || !machineFits({ ...machine, physBits: bits }, { ...plan, ranges }))
    return undefined;
  return {
    kind: "phys-bits",
    bits,
    detail: `limit the vCPU to ${bits} bits of physical address (phys-bits=${bits}, or host-phys-bits-limit=${bits} with -cpu host): firmware may put BARs beyond what the IOMMU translates`,
  };
}

/** The one device that keeps a layout from fitting, as far as its conflicts and its blockers tell. */
export function deviceAtFault(
  { windows }: CheckedLayout,
  blockers: readonly { device: string }[],
): string | undefined {
  const atFault = new Set<string | undefined>(blockers.map(({ device }) => device));
  for (const { required, conflicts } of windows) {
    if (!required) continue;
    for (const { causes } of conflicts) {
      for (const { device } of causes) {
        atFault.add(device);
        if (atFault.size > 1) return undefined;
      }
    }
  }
  return [...atFault][0];
}

export function withoutDevice(device: string): Remedy {
  return { kind: "without-device", device, detail: `leave out ${device}: it alone is in the way` };
}

/** A probe makes an answer exact; it may also show that all that is in the way was only feared. */
export function* probeRemedy(plan: Plan, windows: readonly Window[]): Steps<Remedy | undefined> {
  const { unprobed, certain } = plan;
  if (unprobed.length === 0) return undefined;
  const excluded = yield* RangeSet.fromInSteps(yield* flatInSteps(certain.map((ranges) => [...ranges])));
  if (!requiredFit({ ...plan, ranges: excluded.invert() }, windows)) return undefined;
  const detail = `probe ${listed(unprobed)} (probe-device): what is known until then may be too little or too much`;
  return { kind: "probe", devices: unprobed, detail };
}

function machineFits(machine: Machine, plan: Plan): boolean {
  try {
    return requiredFit(plan, machineWindows(machine));
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
