import { inSlices } from "../host/slice.ts";
import type { Steps } from "../ranges/steps.ts";

/** How long work may keep the event loop before everybody else gets a turn, in milliseconds. */
const SLICE_MS = 2;

/** Users that are remembered while nobody waits: some will have gone. */
const USERS = 64;

/** What somebody has had of the event loop, in milliseconds, since anybody began to wait. */
class Account {
  used = 0;
  /** Of the one that was served last: who comes anew begins there, and makes up for no time of idleness. */
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

interface Waiting {
  readonly slice: TimeSlice;
  readonly resume: () => void;
}

/**
 * Shares the event loop. All work of one turn of the loop has one slice together; who still has something to do when it
 * is over waits for a slice of its own, of which there is one in a turn. Every other one goes to the user, and of that to
 * the connection, that has had least, so that nobody starves; those between go to who has worked least on what it is at:
 * a small question is answered next, however many large ones wait.
 */
export class TimeSlices {
  readonly #now: () => number;
  readonly #users = new Map<number, Account>();
  readonly #all = new Account();
  /** Ends when nobody waits. */
  #period = 1;
  readonly #waiting = new Set<Waiting>();
  /** Whether the last slice went to who had worked least on what it was at. */
  #isForSmall = false;
  /** Undefined between two turns of the loop. */
  #began: number | undefined;
  #looked = 0;
  /** A request has ended then, and nothing has gone on since. */
  #isRecent = false;

  /** `now`: a clock in milliseconds. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** For one connection of a user. */
  slice(uid: number): TimeSlice {
    return new TimeSlice(this, uid);
  }

  /** For TimeSlice: whether the slice of this turn of the loop is over. The first to ask begins it. */
  get isOver(): boolean {
    if (this.#began === undefined) {
      this.#begin(this.now);
      return false;
    }
    return this.#recent() - this.#began > SLICE_MS;
  }

  /** For TimeSlice: resolves when it is its turn. */
  wait(slice: TimeSlice): Promise<void> {
    const user = this.#userOf(slice);
    const own = slice.account.in(this.#period);
    user.used = Math.max(user.used, this.#all.floor);
    own.used = Math.max(own.used, user.floor);
    if (this.#began === undefined) this.#begin(this.now);
    return new Promise((resume) => {
      this.#waiting.add({ slice, resume });
    });
  }

  /** For TimeSlice: by its clock. */
  get now(): number {
    this.#looked = this.#now();
    return this.#looked;
  }

  /** For TimeSlice: when anybody has last looked at the clock. */
  get looked(): number {
    return this.#looked;
  }

  /** For TimeSlice: the time, when a request ends. What comes next in this turn need not look again. */
  requestEnds(): number {
    const { now } = this;
    this.#isRecent = true;
    return now;
  }

  /** The time, or what it was when a request ended just now: to look takes a tenth of a small request. */
  #recent(): number {
    const now = this.#isRecent ? this.#looked : this.now;
    this.#isRecent = false;
    return now;
  }

  /** For TimeSlice: what it has used since `since`, in this turn of the loop. */
  charge(slice: TimeSlice, since: number): void {
    const now = this.#recent();
    const used = Math.max(0, now - Math.max(since, this.#began ?? now));
    slice.worked += used;
    slice.account.in(this.#period).used += used;
    this.#userOf(slice).used += used;
  }

  #begin(now: number): void {
    this.#began = now;
    this.#isRecent = false;
    // Called back in the next turn of the loop, after what has come in was looked at.
    setImmediate(() => {
      this.#began = undefined;
      this.#grant();
    });
  }

  #grant(): void {
    if (this.#waiting.size === 0) {
      // Whoever is in it begins anew with the period, and who comes in every turn need not be entered in every turn.
      if (this.#users.size > USERS) this.#users.clear();
      this.#all.in(++this.#period);
      return;
    }
    let next: Waiting | undefined;
    this.#isForSmall = !this.#isForSmall;
    for (const each of this.#waiting) if (!next || this.#isBefore(each.slice, next.slice)) next = each;
    const { slice, resume } = next as Waiting;
    this.#waiting.delete(next as Waiting);
    const user = this.#userOf(slice);
    this.#all.floor = user.used;
    user.floor = slice.account.used;
    this.#begin(this.now);
    resume();
  }

  #isBefore(a: TimeSlice, b: TimeSlice): boolean {
    // Of those who have not begun the last: how much the others have to do nobody knows.
    if (this.#isForSmall) return a.worked <= b.worked;
    if (a.uid === b.uid) return a.account.used < b.account.used;
    return this.#userOf(a).used < this.#userOf(b).used;
  }

  #userOf({ uid }: TimeSlice): Account {
    let user = this.#users.get(uid);
    if (!user) {
      user = new Account();
      this.#users.set(uid, user);
    }
    return user.in(this.#period);
  }
}

/** One connection's part in the sharing: work asks it, between two pieces, whether to let others go first. */
export class TimeSlice {
  readonly uid: number;
  readonly account = new Account();
  /** On what it is at, in milliseconds. */
  worked = 0;
  readonly #slices: TimeSlices;
  /** When it has begun to work: what others did before in the same turn is not its own. Undefined while it rests. */
  #since: number | undefined;

  constructor(slices: TimeSlices, uid: number) {
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

/** How many small things are done between two looks at the clock. */
const PORTION = 64;
