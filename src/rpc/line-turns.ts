import type { Limits } from "../limits.ts";

/** Characters of a line up to which it needs no turn. */
export const SMALL = 4096;

/** A line's turn, from when it waits for it. */
export class Turn {
  readonly uid: number;
  readonly size: number;
  /** Resolves when the line may begin. */
  readonly begun: Promise<void>;
  begin = () => {};

  constructor(uid: number, size: number) {
    this.uid = uid;
    this.size = size;
    this.begun = new Promise((resolve) => {
      this.begin = resolve;
    });
  }
}

/** A user's lines that are being answered. */
class User {
  used = 0;
  readonly waiting: Turn[] = [];
}

/**
 * Lets lines of a user begin only as long as those under way are no longer, together, than the longest line may be: what is
 * made of a line takes up to thirty times its room, and who sends a large one on each of 500 connections would have that
 * 500 times. Those that wait begin in the order in which they came. Users do not wait for each other, nor small lines at all.
 */
export class LineTurns {
  readonly #limits: Limits;
  readonly #users = new Map<number, User>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** For a line of so many characters; {@link end} must follow when it has begun. */
  take(uid: number, size: number): Turn {
    const user = this.#users.get(uid) ?? new User();
    this.#users.set(uid, user);
    const turn = new Turn(uid, size);
    user.waiting.push(turn);
    this.#grant(user);
    return turn;
  }

  /** The line will not be answered: if it still waits it begins at once, for it does nothing then but end. */
  leave(turn: Turn): void {
    const user = this.#users.get(turn.uid);
    if (user?.waiting.includes(turn)) this.#begin(user, turn);
  }

  end({ uid, size }: Turn): void {
    const user = this.#users.get(uid);
    if (!user) return;
    user.used -= size;
    this.#grant(user);
    if (user.used === 0) this.#users.delete(uid);
  }

  /** One that is longer than all may be, since the limit was lowered, begins alone. */
  #grant(user: User): void {
    for (let next = user.waiting[0]; next; next = user.waiting[0]) {
      if (user.used > 0 && user.used + next.size > this.#limits["max-request"]) return;
      this.#begin(user, next);
    }
  }

  #begin(user: User, turn: Turn): void {
    user.waiting.splice(user.waiting.indexOf(turn), 1);
    user.used += turn.size;
    turn.begin();
  }
}
