import { assertRange } from "../ranges/range.ts";
import type { Window } from "./layout.ts";
import { type CloudHypervisorMachine, cloudHypervisorWindows } from "./machines/cloud-hypervisor.ts";
import { type MicrovmMachine, microvmWindows } from "./machines/microvm.ts";
import { type PcMachine, pcWindows } from "./machines/pc.ts";
import { type VirtMachine, virtWindows } from "./machines/virt.ts";

/** A machine as its VMM's command line describes it. */
export type Machine = PcMachine | VirtMachine | MicrovmMachine | CloudHypervisorMachine;

/** The QEMUs whose memory maps `npm run test:machines` compares with these, byte for byte. */
const QEMUS = ["7.2", "10.0", "11.1"] as const;

/**
 * Where the VMM will put the guest's memory and its PCI holes.
 * @throws RangeError with the VMM's reason when it refuses the guest, or when that is not within 64 bits
 */
export function machineWindows(machine: Machine): Window[] {
  const windows = mapOf(machine);
  for (const window of windows) assertRange(window);
  return windows;
}

function mapOf(machine: Machine): Window[] {
  switch (machine.type) {
    case "virt":
      return virtWindows(machine);
    case "microvm":
      return microvmWindows(machine);
    case "cloud-hypervisor":
      return cloudHypervisorWindows(machine);
    default:
      return pcWindows(machine);
  }
}

/** The versions of the VMM whose maps were compared with this one; of Cloud Hypervisor only the source was read. */
export function comparedWith(type: Machine["type"]): readonly string[] {
  return type === "cloud-hypervisor" ? [] : QEMUS;
}
