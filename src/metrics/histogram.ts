import type { Distribution, Labels } from "./metric.ts";

/** Upper bounds in seconds: from an answer out of the cache to hardware that takes its time. */
const BOUNDS = [0.0001, 0.001, 0.01, 0.1, 1, 10];

/** Counts durations by how long they were. */
export class Histogram {
  /** By the first bound that is not below; behind them what is beyond all. */
  readonly #counts = new Array<number>(BOUNDS.length + 1).fill(0);
  #sum = 0;

  observe(seconds: number): void {
    let at = 0;
    while (at < BOUNDS.length && seconds > (BOUNDS[at] as number)) at++;
    this.#counts[at] = (this.#counts[at] as number) + 1;
    this.#sum += seconds;
  }

  distribution(labels: Labels): Distribution {
    let count = 0;
    const buckets = this.#counts.map((own, at) => {
      count += own;
      return { le: at < BOUNDS.length ? String(BOUNDS[at]) : "+Inf", count };
    });
    return { labels, count, sum: this.#sum, buckets };
  }
}
