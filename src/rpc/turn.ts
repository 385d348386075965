import { setImmediate as nextTurn } from "node:timers/promises";

/** How long one piece of a long answer may keep the event loop, in milliseconds. */
const TURN_MS = 5;

/** Shares the event loop while an answer takes long: other clients are answered between its pieces. */
export class Turn {
  #ends = performance.now() + TURN_MS;

  get isOver(): boolean {
    return performance.now() > this.#ends;
  }

  /** Lets everybody else have a turn. */
  async pass(): Promise<void> {
    await nextTurn();
    this.#ends = performance.now() + TURN_MS;
  }
}
