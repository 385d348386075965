import { Histogram } from "./histogram.ts";
import { counter, histogram, type Metric, type Sample } from "./metric.ts";

const DONE = "done";

/** What became of the requests of one method, and how long they took. */
class Outcomes {
  readonly durations = new Histogram();
  /** Of nearly all: those are counted without a look into the table. */
  #done = 0;
  readonly #others = new Map<string, number>();

  record(outcome: string, seconds: number): void {
    if (outcome === DONE) this.#done++;
    else this.#others.set(outcome, (this.#others.get(outcome) ?? 0) + 1);
    this.durations.observe(seconds);
  }

  samples(method: string): Sample[] {
    const all: (readonly [string, number])[] = [...this.#others];
    if (this.#done > 0) all.unshift([DONE, this.#done]);
    return all.map(([outcome, value]) => ({ labels: { method, outcome }, value }));
  }
}

/** How many requests there were of each method, what became of them, and how long they took. */
export class Requests {
  readonly #methods = new Map<string, Outcomes>();

  /**
   * `method` is one that there is, and `outcome` "done" or a class of error: a client that makes up names makes no
   * samples.
   */
  record(method: string, outcome: string, seconds: number): void {
    let outcomes = this.#methods.get(method);
    if (!outcomes) {
      outcomes = new Outcomes();
      this.#methods.set(method, outcomes);
    }
    outcomes.record(outcome, seconds);
  }

  metrics(): Metric[] {
    const all = [...this.#methods];
    return [
      counter(
        "iovad_requests_total",
        "Requests by method and outcome.",
        all.flatMap(([method, outcomes]) => outcomes.samples(method)),
      ),
      histogram(
        "iovad_request_seconds",
        "How long requests took, waiting included.",
        all.map(([method, { durations }]) => durations.distribution({ method })),
      ),
    ];
  }
}
