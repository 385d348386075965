import type { Limits } from "../limits.ts";

/** Characters of a line up to which it needs no turn. */
export const SMALL = 4096;

interface Waiting {
  readonly size: number;
  readonly begin: () => void;
}

/** A user's lines that are being answered. */
class User {
  used = 0;
  readonly waiting: Waiting[] = [];
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

  /** Resolves when a line of so many characters may begin; {@link end} must follow. */
  begin(uid: number, size: number): Promise<void> {
    const user = this.#users.get(uid) ?? new User();
    this.#users.set(uid, user);
    return new Promise((begin) => {
      user.waiting.push({ size, begin });
      this.#grant(user);
    });
  }

  end(uid: number, size: number): void {
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
      user.waiting.shift();
      user.used += next.size;
      next.begin();
    }
  }
}
