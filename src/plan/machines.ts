import { assertRange } from "../ranges/range.ts";
import type { Window } from "./layout.ts";
import { type PcMachine, pcWindows } from "./machines/pc.ts";
import { type VirtMachine, virtWindows } from "./machines/virt.ts";

/** A machine of QEMU's, as its command line describes it. */
export type Machine = PcMachine | VirtMachine;

/**
 * Where QEMU will put the guest's memory and its PCI holes.
 * @throws RangeError when that is not within 64 bits
 */
export function machineWindows(machine: Machine): Window[] {
  const windows = machine.type === "virt" ? virtWindows(machine) : pcWindows(machine);
  for (const window of windows) assertRange(window);
  return windows;
}
