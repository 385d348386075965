import { monotonic } from "../clock.ts";
import { Account, type Sharing, TimeSlice } from "./time-slice.ts";

/** How long work may keep the event loop before everybody else gets a turn, in milliseconds. */
const SLICE_MS = 2;

/** Users that are remembered while nobody waits: some will have gone. */
const USERS = 64;

interface Waiting {
  readonly slice: TimeSlice;
  readonly resume: () => void;
}

/**
 * Shares the event loop. All work of one turn of the loop has one slice together; who still has something to do when it
 * is over waits for a slice of its own, of which there is one in a turn. Every other one goes to the user, and of that to
 * the connection, that has had least, so that nobody starves; those between go to who has worked least on what it is at:
 * a small question is answered next, however many large ones wait. Who needs less of it than all leaves the rest to the next
 * by the same rule: if the rest went by the other one, a crowd could always leave the user with least nothing but rests.
 */
export class TimeSlices implements Sharing {
  readonly #now: () => number;
  readonly #users = new Map<number, Account>();
  readonly #all = new Account();
  /** Ends when nobody waits. */
  #period = 1;
  readonly #waiting = new Set<Waiting>();
  /** Whether the last slice goes to who has worked least on what it is at. */
  #isForSmall = false;
  /** Who was the last to go on for having had least. */
  #least: TimeSlice | undefined;
  /** Undefined between two turns of the loop. */
  #began: number | undefined;
  #looked = 0;
  /** A request has ended then, and nothing has gone on since. */
  #isRecent = false;

  /** `now`: a clock in milliseconds. */
  constructor(now: () => number = monotonic) {
    this.#now = now;
  }

  /** For one connection of a user. */
  slice(uid: number): TimeSlice {
    return new TimeSlice(this, uid);
  }

  get isOver(): boolean {
    if (this.#began === undefined) {
      this.#begin(this.now);
      return false;
    }
    return this.#recent() - this.#began > SLICE_MS;
  }

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

  get now(): number {
    this.#looked = this.#now();
    return this.#looked;
  }

  get looked(): number {
    return this.#looked;
  }

  requestEnds(): number {
    const { now } = this;
    this.#isRecent = true;
    return now;
  }

  rested(): void {
    if (this.#waiting.size > 0 && !this.isOver) this.#resumeNext();
  }

  /** The time, or what it was when a request ended just now: to look takes a tenth of a small request. */
  #recent(): number {
    const now = this.#isRecent ? this.#looked : this.now;
    this.#isRecent = false;
    return now;
  }

  charge(slice: TimeSlice, since: number): void {
    const now = this.#recent();
    const used = Math.max(0, now - Math.max(since, this.#began ?? now));
    slice.worked += used;
    const own = slice.account.in(this.#period);
    const user = this.#userOf(slice);
    own.used += used;
    user.used += used;
    // Not before it has worked: of those who come anew each would be before all who have had anything, one after the other.
    if (slice !== this.#least) return;
    user.floor = own.used;
    this.#all.floor = user.used;
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
    this.#begin(this.now);
    this.#isForSmall = !this.#isForSmall;
    this.#resumeNext();
  }

  #resumeNext(): void {
    let next: Waiting | undefined;
    for (const each of this.#waiting) if (!next || this.#isBefore(each.slice, next.slice)) next = each;
    const { slice, resume } = next as Waiting;
    this.#waiting.delete(next as Waiting);
    if (!this.#isForSmall) this.#least = slice;
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
