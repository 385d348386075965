import type { VfioDevice } from "../../kernel/vfio.ts";
import type { HostError } from "../errors.ts";
import { errnoOf } from "../failures.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import type { Blocker } from "../platform/blockers.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import type { Records } from "./records.ts";

/** Blockers that no file of the kernel shows: a refused bind teaches them, or a refused attach. */
const OF_BIND = new Set<Blocker["reason"]>(["no-isolated-msi", "no-coherent-dma"]);
const OF_ATTACH = new Set<Blocker["reason"]>(["unsupported-page-size"]);

const LEARNT = new Set([...OF_BIND, ...OF_ATTACH]);

export const isLearnt = ({ reason }: Blocker) => LEARNT.has(reason);

export interface RefusalsParts {
  readonly knowledge: Knowledge;
  readonly records: Records;
}

/**
 * Attaches a device to the IOAS of that id, with a second try after EINVAL: a kernel short of memory may say so once (seen
 * in the lab, with allocations made to fail), and only what it says again is about the device.
 */
export async function attachInsisting(vfio: VfioDevice, ioas: number): Promise<void> {
  try {
    await vfio.attach(ioas);
  } catch (error) {
    if (errnoOf(error) !== "EINVAL") throw error;
    await vfio.attach(ioas);
  }
}

/** What only refusals could teach of devices is remembered, and shown from then on. */
export class Refusals {
  readonly #parts: RefusalsParts;

  constructor(parts: RefusalsParts) {
    this.#parts = parts;
  }

  /** Returns the failure, for its caller to throw. */
  learn(device: PlatformDevice, failure: HostError): HostError {
    const blockers = (failure.data.blockers ?? []) as readonly Blocker[];
    const learnt = blockers.find(isLearnt);
    if (learnt) {
      this.#parts.knowledge.refused(device, learnt);
      this.#parts.records.refresh(device.group);
    }
    return failure;
  }

  /** The kernel has bound the device, which says nothing of attaching it. */
  bound(device: PlatformDevice): void {
    this.#forget(device, OF_BIND);
  }

  /** The kernel has attached the device, and so has bound it. */
  attached(device: PlatformDevice): void {
    this.#forget(device, LEARNT);
  }

  #forget(device: PlatformDevice, reasons: ReadonlySet<Blocker["reason"]>): void {
    const refusal = this.#parts.knowledge.refusalOf(device);
    if (!refusal || !reasons.has(refusal.reason)) return;
    this.#parts.knowledge.refused(device, null);
    this.#parts.records.refresh(device.group);
  }
}
