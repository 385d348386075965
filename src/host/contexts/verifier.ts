import type { IovaRanges } from "../../kernel/iommufd.ts";
import type { RangeSet } from "../../ranges/range-set.ts";
import type { Observer } from "../changes.ts";
import { kernelError } from "../failures.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import { agrees, type Prediction, predict } from "../knowledge/prediction.ts";
import type { Platform, PlatformDevice } from "../platform/platform.ts";
import type { Context } from "./context.ts";
import type { Ioas } from "./ioas.ts";

/** What made an IOAS's answer change. */
export interface Cause {
  readonly event: string;
  readonly device: string;
}

/** Reads an IOAS after every change, compares it with what the sources predict, and tells what has changed. */
export class Verifier {
  readonly #platform: Platform;
  readonly #knowledge: Knowledge;
  readonly #observer: Observer;
  #mismatches = 0;

  constructor(platform: Platform, knowledge: Knowledge, observer: Observer) {
    this.#platform = platform;
    this.#knowledge = knowledge;
    this.#observer = observer;
  }

  /** How often the kernel's answer differed from the prediction beyond what an unknown aperture explains. */
  get mismatches(): number {
    return this.#mismatches;
  }

  /** What the sources say of the devices in an IOAS. */
  predict(devices: Iterable<string>): Prediction {
    const platformDevices = [...devices].flatMap((device) => this.#platform.find(device) ?? []);
    return predict(platformDevices.map((device) => this.#knowledge.reserved(device)));
  }

  /**
   * The kernel's answer after a change, told to listeners before it is returned. While another change is under way
   * nobody knows how much of that one the answer includes, so the last one compares. `alone` is a device that came into an empty IOAS: the answer is then what
   * that device excludes, worth as much as a probe. Rejects with HostError KernelError.
   */
  async check(context: Context, ioas: Ioas, cause: Cause, alone?: PlatformDevice): Promise<IovaRanges> {
    let answer: IovaRanges;
    const { generation, isChanging } = ioas;
    const look = ioas.look();
    try {
      answer = await ioas.read();
    } catch (error) {
      throw kernelError(error, "IOMMU_IOAS_IOVA_RANGES");
    }
    if (context.shared) return answer;
    if (!isChanging && !ioas.isChanging && ioas.generation === generation) {
      this.#compare(context, ioas, answer.ranges);
      if (alone && ioas.devices.size === 1 && ioas.devices.has(alone.device))
        this.#knowledge.learn(alone, answer, "ioas");
    }
    const before = ioas.tell(look, answer.ranges);
    if (before) this.#announce(context, ioas, before, answer.ranges, cause);
    return answer;
  }

  #compare(context: Context, ioas: Ioas, actual: RangeSet): void {
    const prediction = this.predict(ioas.devices);
    if (agrees(prediction, actual)) return;
    this.#mismatches++;
    this.#observer({
      event: "PREDICTION_MISSED",
      context: context.name,
      ioas: ioas.id,
      predicted: prediction.ranges,
      actual,
    });
  }

  #announce(context: Context, ioas: Ioas, before: RangeSet, ranges: RangeSet, cause: Cause): void {
    this.#observer({
      event: "ALLOWED_RANGES_CHANGED",
      context: context.name,
      ioas: ioas.id,
      generation: ioas.generation,
      ranges,
      gained: ranges.subtract(before),
      lost: before.subtract(ranges),
      cause,
    });
  }
}
