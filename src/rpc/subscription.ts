import type { Limits } from "../limits.ts";
import type { Subscriber } from "./connection.ts";
import type { EventLog, Lines } from "./event-log.ts";

/** Bytes that a client is sent at a time: what it has not taken is kept for it alone. */
const PIECE = 4 * 1024;

interface Told {
  /** There may be something to send, and the client takes it. */
  due(): void;
  /** The client has missed so many events. */
  lost(count: number): void;
}

/** One connection's way through the log of events. */
export class Subscription {
  readonly #connection: Subscriber;
  readonly #log: EventLog;
  readonly #limits: Limits;
  readonly #names: ReadonlySet<string> | null;
  readonly #told: Told;
  /** The last event that it is past. */
  #sequence: number;
  /** How many of its events it is past, as the log counts them. */
  #passed: number;
  #state: "waits for its answer" | "reads" | "waits for the client" | "ended" = "waits for its answer";

  /** `names`: only these events; undefined: all. `since`: the first event is the one behind. */
  constructor(
    connection: Subscriber,
    log: EventLog,
    limits: Limits,
    names: readonly string[] | undefined,
    since: number,
    told: Told,
  ) {
    this.#connection = connection;
    this.#log = log;
    this.#limits = limits;
    this.#names = names ? new Set(names) : null;
    this.#sequence = since;
    this.#passed = log.count(this.#names);
    for (const { method } of log.after(since)) if (this.#names?.has(method) ?? true) this.#passed--;
    this.#told = told;
  }

  /** The answer to its request has been sent: now events may follow. */
  begin(): void {
    if (this.#state !== "waits for its answer") return;
    this.#state = "reads";
    if (this.#sequence < this.#log.sequence) this.#told.due();
  }

  end(): void {
    this.#state = "ended";
  }

  /**
   * All that the client has not been sent, whether or not it has taken what it was: some lines at a time, without their end.
   */
  *takeAll(): Generator<string, void, undefined> {
    for (const { sequence } = this.#log; this.#isUnderWay && this.#sequence < sequence; ) {
      const lost = this.#skipLost();
      if (lost > 0) {
        yield this.#confession(lost);
        // Meanwhile others may have been forgotten.
        continue;
      }
      const { dialect } = this.#connection;
      const lines = this.#pass(this.#log.lines(this.#sequence, dialect, PIECE, this.#names));
      if (lines !== "") yield lines.slice(0, -dialect.lineEnd.length);
    }
  }

  /** Sends a piece, if the client has taken the last one; the rest when it has taken that. */
  send(): void {
    if (this.#state !== "reads" || this.#sequence === this.#log.sequence) return;
    if (this.#connection.isReady) {
      this.#sendPiece();
      if (this.#sequence === this.#log.sequence && this.#connection.isReady) return;
    }
    this.#state = "waits for the client";
    this.#connection.onceReady(() => {
      if (this.#state !== "waits for the client") return;
      this.#state = "reads";
      this.#told.due();
    });
  }

  get #isUnderWay(): boolean {
    return this.#state === "reads" || this.#state === "waits for the client";
  }

  #sendPiece(): void {
    const { dialect } = this.#connection;
    const lost = this.#skipLost();
    if (lost > 0) {
      this.#connection.deliver(Buffer.from(this.#confession(lost) + dialect.lineEnd));
      return;
    }
    const lines = this.#pass(this.#log.piece(this.#sequence, dialect, PIECE, this.#names));
    if (lines.length > 0) this.#connection.deliver(lines);
  }

  #pass<T extends string | Buffer>({ lines, count, last }: Lines<T>): T {
    this.#sequence = last;
    this.#passed += count;
    return lines;
  }

  /** Of whom waits for more than it may, or for what is forgotten, all are lost. Returns how many. */
  #skipLost(): number {
    const isForgotten = this.#sequence + 1 < this.#log.oldest;
    if (!isForgotten && this.#log.bytesAfter(this.#sequence) <= this.#limits["max-queue"]) return 0;
    const lost = this.#log.count(this.#names) - this.#passed;
    this.#passed += lost;
    this.#sequence = this.#log.sequence;
    this.#told.lost(lost);
    return lost;
  }

  #confession(count: number): string {
    const params = { count, ...this.#log.stamp() };
    const event = { method: "EVENTS_LOST", params, text: JSON.stringify(params) };
    return this.#connection.dialect.event(event);
  }
}
