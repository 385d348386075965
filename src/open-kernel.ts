import { readFileSync } from "node:fs";
import type { Kernel } from "./kernel/kernel.ts";
import { LinuxKernel } from "./kernel/linux/linux-kernel.ts";
import { SimulatedKernel } from "./kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "./kernel/simulated/topology-file.ts";
import { UsageError } from "./options.ts";

/** The simulated host needs no native code. @throws UsageError */
export function openKernel(simulate: string | undefined): Kernel {
  if (simulate === undefined) return new LinuxKernel();
  try {
    return new SimulatedKernel(parseTopology(JSON.parse(readFileSync(simulate, "utf8"))));
  } catch (error) {
    throw new UsageError([`--simulate ${simulate}: ${(error as Error).message}`]);
  }
}
