import { Durations } from "./durations.ts";
import { counter, type Metric } from "./metric.ts";

/** How many requests there were of each method, what became of them, and how long they took. */
export class Requests {
  readonly #outcomes = new Map<string, Map<string, { count: number }>>();
  readonly #durations = new Durations();

  /**
   * `method` is one that there is, and `outcome` "done" or a class of error: a client that makes up names makes no
   * samples.
   */
  record(method: string, outcome: string, seconds: number): void {
    let outcomes = this.#outcomes.get(method);
    if (!outcomes) {
      outcomes = new Map();
      this.#outcomes.set(method, outcomes);
    }
    const known = outcomes.get(outcome);
    if (known) known.count++;
    else outcomes.set(outcome, { count: 1 });
    this.#durations.observe(method, seconds);
  }

  metrics(): Metric[] {
    const samples = [...this.#outcomes].flatMap(([method, outcomes]) =>
      Array.from(outcomes, ([outcome, { count }]) => ({ labels: { method, outcome }, value: count })),
    );
    return [
      counter("iovad_requests_total", "Requests by method and outcome.", samples),
      this.#durations.metric("iovad_request_seconds", "How long requests took, waiting included.", "method"),
    ];
  }
}
