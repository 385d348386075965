import type { IovaRanges } from "../../kernel/iommufd.ts";
import type { Ioas } from "../contexts/ioas.ts";
import { IoasChange } from "../contexts/ioas-change.ts";
import type { Verifier } from "../contexts/verifier.ts";
import type { DeviceIntent } from "../survival/entries.ts";
import type { Journal } from "../survival/journal.ts";
import type { UnderWay } from "../survival/under-way.ts";
import type { HeldDevice, HeldDevices } from "./held-devices.ts";

/** What is done, and what listeners are told as the cause of other ranges. */
export interface Cause {
  readonly intent: DeviceIntent;
  /** Called in the device's turn, before anything is begun: it may throw. */
  readonly permit?: () => void;
  readonly done: string;
  readonly failed: string;
}

type Answers = ReadonlyMap<Ioas, PromiseSettledResult<IovaRanges>>;

export interface ChangingParts {
  readonly devices: HeldDevices;
  readonly verifier: Verifier;
  readonly underWay: UnderWay;
  readonly journal: Journal;
}

/** Operations on held devices that change what IO address spaces allow. */
export class Changing {
  readonly #parts: ChangingParts;

  constructor(parts: ChangingParts) {
    this.#parts = parts;
  }

  /**
   * Runs `operation` in the device's turn. However it ends, the IOASes of the change are looked at when it is over, and
   * who listens is told before who has asked. Resolves to the result and to what the looks have found; rejects as the
   * operation does, or with HostError DeviceBusy. What `change` includes already counts as changing from now on, not
   * from the turn on, so that nobody destroys it. `settled` is for an operation that a later life can complete:
   * called when it is told of, it has the journal keep its end with that.
   */
  async run<T>(
    held: HeldDevice,
    cause: Cause,
    operation: (change: IoasChange, settled: () => void) => Promise<T>,
    change = new IoasChange(),
  ): Promise<{ readonly result: T; readonly answers: Answers }> {
    const { devices, journal, underWay } = this.#parts;
    let ended: (() => void) | undefined;
    let isSettled = false;
    try {
      let result: T;
      try {
        result = await devices.operate(held, () => {
          cause.permit?.();
          const noteEnd = underWay.begin(cause.intent);
          ended = noteEnd;
          return operation(change, () => {
            change.takeEffect();
            journal.behind(noteEnd);
            isSettled = true;
          });
        });
      } catch (error) {
        change.end();
        journal.flush();
        // It may have touched them all the same, and a change that ended meanwhile has left the comparison to this one.
        if (ended) await this.#look(held, cause.failed, change);
        throw error;
      }
      change.end();
      // Whoever asks from now on is answered with other generations, which no later life makes once more.
      if (!isSettled) journal.flush();
      return { result, answers: await this.#look(held, cause.done, change) };
    } finally {
      // With what it has changed, which is behind.
      if (ended && !isSettled) journal.together(ended);
    }
  }

  /** All at once: later, an id could be another object's. */
  async #look({ platform: { device } }: HeldDevice, event: string, change: IoasChange): Promise<Answers> {
    const looks = Array.from(change.ioases, (ioas) =>
      this.#parts.verifier.check(ioas, { event, device }, change.alone),
    );
    const answers = await Promise.allSettled(looks);
    return new Map(
      Array.from(change.ioases, (ioas, i) => [ioas, answers[i]] as const).flatMap(([ioas, answer]) =>
        answer ? [[ioas, answer]] : [],
      ),
    );
  }
}
