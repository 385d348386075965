import { SimulatedKernel } from "../../src/kernel/simulated/simulated-kernel.ts";
import { parseTopology } from "../../src/kernel/simulated/topology-file.ts";
import { Session } from "../conformance/session.ts";

/** A session on a simulated host; its devices 0 and 1 are vfio0 and vfio1. */
export function sessionOn(topology: object): Session & { kernel: SimulatedKernel } {
  const kernel = new SimulatedKernel(parseTopology(topology));
  const session = new Session(kernel, ["/dev/vfio/devices/vfio0", "/dev/vfio/devices/vfio1"]);
  return Object.assign(session, { kernel });
}
