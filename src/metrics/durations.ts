import { Histogram } from "./histogram.ts";
import { histogram, type Metric } from "./metric.ts";

/** How long each of a few kinds of things took. */
export class Durations {
  readonly #kinds = new Map<string, Histogram>();

  observe(kind: string, seconds: number): void {
    let known = this.#kinds.get(kind);
    if (!known) {
      known = new Histogram();
      this.#kinds.set(kind, known);
    }
    known.observe(seconds);
  }

  /** `label` says what the kinds are of. */
  metric(name: string, help: string, label: string): Metric {
    const all = Array.from(this.#kinds, ([kind, durations]) => durations.distribution({ [label]: kind }));
    return histogram(name, help, all);
  }
}
