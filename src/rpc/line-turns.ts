import type { Limits } from "../limits.ts";
import { LARGE } from "./json-in-steps.ts";

/** Characters of a line up to which it needs no turn. */
export const SMALL = 4096;

/** A line's turn, from when it waits for it. */
export class Turn {
  readonly size: number;
  /** With whom it shares: large lines of a user, or others of that user. */
  readonly group: string;
  /** Resolves when the line may begin. */
  readonly begun: Promise<void>;
  begin = () => {};

  constructor(uid: number, size: number) {
    this.size = size;
    this.group = `${uid} ${size < LARGE ? "medium" : "large"}`;
    this.begun = new Promise((resolve) => {
      this.begin = resolve;
    });
  }
}

/** Lines of a user that are being answered. */
class Group {
  used = 0;
  /** In the order in which they came. */
  readonly waiting = new Set<Turn>();
}

/**
 * Lets lines of a user begin only as long as those under way are no longer, together, than the longest line may be: what is
 * made of a line takes up to thirty times its room, and who sends a large one on each of 500 connections would have that
 * 500 times. Those that wait begin in the order in which they came. Users do not wait for each other, nor small lines at all;
 * and those that are neither small nor large do not wait for large ones: such a line may be a batch that waits for hardware.
 */
export class LineTurns {
  readonly #limits: Limits;
  readonly #groups = new Map<string, Group>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /** For a line of so many characters; {@link end} must follow when it has begun. */
  take(uid: number, size: number): Turn {
    const turn = new Turn(uid, size);
    const group = this.#groups.get(turn.group) ?? new Group();
    this.#groups.set(turn.group, group);
    group.waiting.add(turn);
    this.#grant(group);
    return turn;
  }

  /** The line will not be answered: if it still waits it begins at once, for it does nothing then but end. */
  leave(turn: Turn): void {
    const group = this.#groups.get(turn.group);
    if (group?.waiting.has(turn)) this.#begin(group, turn);
  }

  end(turn: Turn): void {
    const group = this.#groups.get(turn.group) as Group;
    group.used -= turn.size;
    this.#grant(group);
    if (group.used === 0) this.#groups.delete(turn.group);
  }

  /** One that is longer than all may be, since the limit was lowered, begins alone. */
  #grant(group: Group): void {
    for (const next of group.waiting) {
      if (group.used > 0 && group.used + next.size > this.#limits["max-request"]) return;
      this.#begin(group, next);
    }
  }

  #begin(group: Group, turn: Turn): void {
    group.waiting.delete(turn);
    group.used += turn.size;
    turn.begin();
  }
}
