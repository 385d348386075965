/** Which of its kind a sample is of. Every value comes from a table of ours: none that a client could make grow. */
export type Labels = Readonly<Record<string, string>>;

/** One number. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** How often something took how long. */
export interface Distribution {
  readonly labels: Labels;
  readonly count: number;
  readonly sum: number;
  /** How many were at most `le`, each including those before it; the last `le` is "+Inf". */
  readonly buckets: readonly { readonly le: string; readonly count: number }[];
}

/** What is measured under one name. Times are in seconds, sizes in bytes, as the name says. */
export type Metric =
  | {
      readonly name: string;
      readonly type: "counter" | "gauge";
      readonly help: string;
      readonly samples: readonly Sample[];
    }
  | {
      readonly name: string;
      readonly type: "histogram";
      readonly help: string;
      readonly distributions: readonly Distribution[];
    };

/** What has happened so often since the daemon began; `name` ends in _total. */
export function counter(name: string, help: string, value: number | readonly Sample[]): Metric {
  return { name, type: "counter", help, samples: samples(value) };
}

/** What is so now. */
export function gauge(name: string, help: string, value: number | readonly Sample[]): Metric {
  return { name, type: "gauge", help, samples: samples(value) };
}

export function histogram(name: string, help: string, distributions: readonly Distribution[]): Metric {
  return { name, type: "histogram", help, distributions };
}

function samples(value: number | readonly Sample[]): readonly Sample[] {
  return typeof value === "number" ? [{ labels: {}, value }] : value;
}
