import { readFileSync } from "node:fs";
import type { Kernel } from "./kernel/kernel.ts";
import { UsageError } from "./options.ts";

/** Each adapter is loaded only where it is used: the simulated host needs no native code. @throws UsageError */
export async function openKernel(simulate: string | undefined): Promise<Kernel> {
  if (simulate === undefined) {
    const { LinuxKernel } = await import("./kernel/linux/linux-kernel.ts");
    return new LinuxKernel();
  }
  const { SimulatedKernel } = await import("./kernel/simulated/simulated-kernel.ts");
  const { parseTopology } = await import("./kernel/simulated/topology-file.ts");
  try {
    return new SimulatedKernel(parseTopology(JSON.parse(readFileSync(simulate, "utf8"))));
  } catch (error) {
    throw new UsageError([`--simulate ${simulate}: ${(error as Error).message}`]);
  }
}
