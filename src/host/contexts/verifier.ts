import type { IovaRanges } from "../../kernel/iommufd.ts";
import type { RangeSet } from "../../ranges/range-set.ts";
import type { Tell } from "../changes.ts";
import { HostError } from "../errors.ts";
import { kernelError } from "../failures.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import { agrees, type Prediction, predict } from "../knowledge/prediction.ts";
import type { Census } from "../platform/census.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import type { Ioas } from "./ioas.ts";

/** What made an IOAS's answer change. */
export interface Cause {
  readonly event: string;
  readonly device: string;
}

export interface VerifierParts {
  readonly census: Census;
  readonly knowledge: Knowledge;
  readonly tell: Tell;
}

/** Reads an IOAS after every change, compares it with what the sources predict, and tells what has changed. */
export class Verifier {
  readonly #parts: VerifierParts;
  #mismatches = 0;

  constructor(parts: VerifierParts) {
    this.#parts = parts;
  }

  /** How often the kernel's answer differed from the prediction beyond what an unknown aperture explains. */
  get mismatches(): number {
    return this.#mismatches;
  }

  /** What the sources say of the devices in an IOAS. */
  predict(devices: Iterable<string>): Prediction {
    const platformDevices = [...devices].flatMap((device) => this.#parts.census.get(device) ?? []);
    return predict(platformDevices.map((device) => this.#parts.knowledge.reserved(device)));
  }

  /**
   * The kernel's answer after a change, told to listeners before it is returned. While another change is under way
   * nobody knows how much of that one the answer includes, so the last one compares. `alone` is a device that came into an
   * empty IOAS: the answer is then what that device excludes, worth as much as a probe. Rejects with HostError KernelError.
   */
  async check(ioas: Ioas, cause: Cause, alone?: PlatformDevice): Promise<IovaRanges> {
    let answer: IovaRanges;
    const { generation, isChanging } = ioas;
    const look = ioas.look();
    try {
      answer = await ioas.read();
    } catch (error) {
      throw kernelError(error, "IOMMU_IOAS_IOVA_RANGES");
    }
    if (ioas.context.shared) return answer;
    if (!isChanging && !ioas.isChanging && ioas.generation === generation) {
      unlessUnreadable(() => this.#compare(ioas, answer.ranges));
      if (alone && ioas.devices.size === 1 && ioas.devices.has(alone.device))
        unlessUnreadable(() => this.#parts.knowledge.learn(alone, answer, "ioas"));
    }
    const before = ioas.tell(look, answer.ranges);
    if (before) this.#announce(ioas, before, answer.ranges, cause);
    return answer;
  }

  /** Whether the kernel's answer of this moment is one that the sources leave room for; also when there is none. */
  async isAsPredicted(ioas: Ioas): Promise<boolean> {
    const answer = await ioas.read().catch(() => undefined);
    const prediction = unlessUnreadable(() => this.predict(ioas.devices));
    return !answer || !prediction || agrees(prediction, answer.ranges);
  }

  #compare(ioas: Ioas, actual: RangeSet): void {
    const prediction = this.predict(ioas.devices);
    if (agrees(prediction, actual)) return;
    this.#mismatches++;
    this.#parts.tell({
      event: "PREDICTION_MISSED",
      context: ioas.context.name,
      ioas: ioas.id,
      predicted: prediction.ranges,
      actual,
    });
  }

  #announce(ioas: Ioas, before: RangeSet, ranges: RangeSet, cause: Cause): void {
    this.#parts.tell({
      event: "ALLOWED_RANGES_CHANGED",
      context: ioas.context.name,
      ioas: ioas.id,
      generation: ioas.generation,
      ranges,
      gained: ranges.subtract(before),
      lost: before.subtract(ranges),
      cause,
    });
  }
}

/** The kernel's answer is one also when sysfs cannot be read, and nothing is there to compare it with. */
function unlessUnreadable<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (error instanceof HostError) return undefined;
    throw error;
  }
}
