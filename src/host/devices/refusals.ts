import type { HostError } from "../errors.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import type { Blocker } from "../platform/blockers.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import type { Records } from "./records.ts";

/** Blockers that no file of the kernel shows: a refused bind teaches them, or a refused attach. */
const OF_BIND: ReadonlySet<Blocker["reason"]> = new Set(["no-isolated-msi", "no-coherent-dma"]);
const OF_ATTACH: ReadonlySet<Blocker["reason"]> = new Set(["unsupported-page-size"]);

export const isLearnt = ({ reason }: Blocker) => OF_BIND.has(reason) || OF_ATTACH.has(reason);

export interface RefusalsParts {
  readonly knowledge: Knowledge;
  readonly records: Records;
}

/** What only refusals could teach of devices is remembered, and shown from then on. */
export class Refusals {
  readonly #knowledge: Knowledge;
  readonly #records: Records;

  constructor({ knowledge, records }: RefusalsParts) {
    this.#knowledge = knowledge;
    this.#records = records;
  }

  /** Returns the failure, for its caller to throw. */
  learn(device: PlatformDevice, failure: HostError): HostError {
    const blockers = (failure.data.blockers ?? []) as readonly Blocker[];
    const learnt = blockers.find(isLearnt);
    if (learnt) {
      this.#knowledge.refused(device, learnt);
      this.#records.refresh(device.group);
    }
    return failure;
  }

  /** The kernel has bound the device, which says nothing of attaching it. */
  bound(device: PlatformDevice): void {
    const refusal = this.#knowledge.refusalOf(device);
    if (refusal && OF_BIND.has(refusal.reason)) this.#knowledge.refused(device, null);
  }

  /** The kernel has attached the device. */
  attached(device: PlatformDevice): void {
    this.#knowledge.refused(device, null);
  }
}
