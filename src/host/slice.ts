/** Somebody's share of the event loop: work that grows asks it, between two pieces, whether to let others go first. */
export interface Slice {
  readonly isOver: boolean;
  pass(): Promise<void>;
}

/** Milliseconds of a turn of the event loop that the host's own work takes. */
const SLICE_MS = 3;

/** For work that no client has asked for. */
export class OwnSlice implements Slice {
  readonly #now: () => number;
  #began: number;

  /** `now`: a clock in milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
    this.#began = now();
  }

  get isOver(): boolean {
    return this.#now() - this.#began > SLICE_MS;
  }

  async pass(): Promise<void> {
    await new Promise(setImmediate);
    this.#began = this.#now();
  }
}

/** Takes all steps of `work`, in as many slices as it takes. Resolves to what the work returns. */
export async function inSlices<T>(work: Iterator<unknown, T>, slice: Slice): Promise<T> {
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
    if (slice.isOver) await slice.pass();
  }
}
