import { inSlices } from "../host/slice.ts";
import type { Steps } from "../ranges/steps.ts";

/** How many small things are done between two looks at the clock. */
const PORTION = 64;

/** What somebody has had of the event loop, in milliseconds, since anybody began to wait. */
export class Account {
  used = 0;
  /** Of the one that was served last for having had least: who comes anew begins there, and makes up for no time of idleness. */
  floor = 0;
  /** The time of waiting that the figures are of. */
  #period = 0;

  /** Of an earlier time of waiting nothing counts. */
  in(period: number): this {
    if (this.#period !== period) {
      this.#period = period;
      this.used = this.floor = 0;
    }
    return this;
  }
}

/** Shares the event loop among slices. */
export interface Sharing {
  /** Whether the slice of this turn of the loop is over. The first to ask begins it. */
  readonly isOver: boolean;
  /** The time, in milliseconds. */
  readonly now: number;
  /** When anybody has last looked at the clock. */
  readonly looked: number;
  /** The time, when a request ends. What comes next in this turn need not look again. */
  requestEnds(): number;
  /** Resolves when it is its turn. */
  wait(slice: TimeSlice): Promise<void>;
  /** Somebody has done what there was to do: what is left of the slice goes to who waits. */
  rested(): void;
  /** Counts what it has used since `since`, in this turn of the loop. */
  charge(slice: TimeSlice, since: number): void;
}

/** One connection's part in the sharing: work asks it, between two pieces, whether to let others go first. */
export class TimeSlice {
  readonly uid: number;
  readonly account = new Account();
  /** On what it is at, in milliseconds. */
  worked = 0;
  readonly #slices: Sharing;
  /** When it has begun to work: what others did before in the same turn is not its own. Undefined while it rests. */
  #since: number | undefined;

  constructor(slices: Sharing, uid: number) {
    this.#slices = slices;
    this.uid = uid;
  }

  /** Work asks it first when it begins. */
  get isOver(): boolean {
    const { isOver } = this.#slices;
    this.#since ??= this.#slices.looked;
    return isOver;
  }

  /** The time, in milliseconds, at the end of a request. */
  requestEnds(): number {
    return this.#slices.requestEnds();
  }

  /** When it was last looked at the clock, as {@link isOver} and {@link pass} do. */
  get looked(): number {
    return this.#slices.looked;
  }

  /** Lets others go first. */
  async pass(): Promise<void> {
    this.#charge();
    await this.#slices.wait(this);
    this.#since = this.#slices.now;
  }

  /** At the end of what there was to do. */
  rest(): void {
    this.#charge();
    this.#since = undefined;
    this.worked = 0;
    this.#slices.rested();
  }

  #charge(): void {
    if (this.#since !== undefined) this.#slices.charge(this, this.#since);
  }

  /** `make` of every item, in order; others go first whenever a slice is over in between. */
  async map<T, U>(items: Iterable<T>, make: (item: T) => U): Promise<U[]> {
    const made: U[] = [];
    for (const item of items) {
      if (made.length % PORTION === PORTION - 1 && this.isOver) await this.pass();
      made.push(make(item));
    }
    return made;
  }

  /** The items for which `isWanted` holds, in order; as {@link map}. */
  async filter<T>(items: Iterable<T>, isWanted: (item: T) => boolean): Promise<T[]> {
    const chosen: T[] = [];
    await this.map(items, (item) => isWanted(item) && chosen.push(item));
    return chosen;
  }

  /** All steps; others go first whenever a slice is over in between. */
  run<T>(steps: Steps<T>): Promise<T> {
    return inSlices(steps, this);
  }
}
