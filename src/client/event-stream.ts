import { DaemonError } from "./errors.ts";
import * as fault from "./faults.ts";
import type { Notification } from "./messages.ts";
import type { DaemonEvent, EventName, Position, Snapshot } from "./types.ts";

/** Asks the daemon over the connection that there is now; rejects when there is none. */
export type Ask = (method: "subscribe" | "unsubscribe", params: object) => Promise<unknown>;

export interface EventOptions<Name extends EventName = EventName> {
  /** Only these; without it, all. */
  readonly names?: readonly Name[];
  /** Begins behind this one, as if the stream had been there; with a snapshot only when the daemon no longer knows. */
  readonly since?: Position;
  /** How many events may wait to be read, 1,000 when left out. What comes then is asked for when they have been. */
  readonly queue?: number;
}

/** What a stream gives. */
export type StreamItem<Name extends EventName = EventName> = DaemonEvent<Name> | Snapshot;

const QUEUE = 1000;

/**
 * The daemon's events in their order, none twice and none left out. The stream begins with a snapshot, into which what
 * follows folds. When the thread is lost, by a restart of the daemon or a reader that was too slow, it is taken up
 * again behind the last event; and where the daemon no longer knows what was missed, another snapshot stands for it.
 *
 * Ends when the client is closed. Throws ConnectionError when the connection is lost for good, DaemonError when the
 * daemon refuses the subscription.
 */
export class EventStream<Name extends EventName = EventName>
  implements AsyncIterableIterator<StreamItem<Name>, undefined>
{
  readonly #ask: Ask;
  readonly #names: readonly Name[] | undefined;
  readonly #limit: number;
  readonly #items: StreamItem<Name>[] = [];
  /** Of the last item. */
  #position: Position | undefined;
  /** Events count only when it is live; what comes while it asks is looked at when the answer is there. */
  #state: "lost" | "asking" | "live" | "leaving" = "lost";
  #held: Notification[] = [];
  /** More has come meanwhile than is held. */
  #isOverfull = false;
  /** Until then events may be those of the stream before this one. */
  #before: Promise<void> | undefined;
  /** When the daemon has answered that it sends no more. */
  #left: Promise<void> | undefined;
  #isOver = false;
  #failure: Error | undefined;
  #readers: (() => void)[] = [];

  /** `before`: the one whose place it takes. */
  constructor(ask: Ask, { names, since, queue = QUEUE }: EventOptions<Name>, before?: EventStream) {
    this.#ask = ask;
    if (before) this.#before = before.#left;
    this.#names = names;
    this.#position = since;
    this.#limit = queue;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<StreamItem<Name>, undefined>> {
    for (;;) {
      const value = this.#items.shift();
      if (value) return { value, done: false };
      const failure = this.#failure;
      this.#failure = undefined;
      if (failure) throw failure;
      if (this.#isOver) return { value: undefined, done: true };
      // All that waited has been read: time for what was not taken.
      if (this.#state === "lost") void this.#subscribe();
      await new Promise<void>((resolve) => this.#readers.push(resolve));
    }
  }

  /** The daemon sends no more. */
  async return(): Promise<IteratorReturnResult<undefined>> {
    this.#items.length = 0;
    if (this.#state !== "lost") this.#left = this.#leave();
    this.end();
    return { value: undefined, done: true };
  }

  /** Whether another stream may begin. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** There is a new connection. */
  connected(): void {
    this.#state = "lost";
    if (this.#items.length < this.#limit) void this.#subscribe();
  }

  /** A notification has come. */
  receive(notification: Notification): void {
    if (this.#state === "asking") {
      this.#isOverfull = this.#held.length >= this.#limit;
      if (!this.#isOverfull) this.#held.push(notification);
    } else if (this.#state === "live") this.#take(notification);
  }

  /** What waits can still be read; then comes the failure, or the end. */
  end(failure?: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#failure = failure;
    this.#wake();
  }

  /** Takes up the thread behind the last item. */
  async #subscribe(): Promise<void> {
    if (this.#isOver) return;
    this.#state = "asking";
    if (this.#before) await this.#before;
    this.#before = undefined;
    this.#held = [];
    this.#isOverfull = false;
    try {
      const since = this.#position && { since: this.#position };
      const answer = await this.#ask("subscribe", { ...(this.#names && { events: this.#names }), ...since });
      if (this.#isSubscription(answer)) this.#answered(answer);
      else this.end(fault.noSubscription());
    } catch (error) {
      this.#state = "lost";
      // Of a connection that is lost the client tells, in one way or the other.
      if (error instanceof DaemonError) this.end(error);
    }
  }

  /** Nothing could be told of events behind another answer. */
  #isSubscription(answer: unknown): answer is Subscription {
    const { resumed, instance, sequence, devices, contexts, ioas } = (answer ?? {}) as Partial<Subscription>;
    if (resumed) return this.#position !== undefined;
    const isPlace = typeof instance === "string" && Number.isSafeInteger(sequence);
    return isPlace && [devices, contexts, ioas].every(Array.isArray);
  }

  #answered({ resumed, ...snapshot }: Subscription): void {
    if (this.#isOver) return;
    if (!resumed) {
      const { instance, sequence } = snapshot;
      this.#position = { instance, sequence };
      this.#items.push({ method: "SNAPSHOT", params: snapshot });
      this.#wake();
    }
    this.#state = "live";
    for (const each of this.#held.splice(0)) if (this.#state === "live") this.#take(each);
    if (this.#isOverfull && this.#state === "live") void this.#leave();
  }

  #take(notification: Notification): void {
    const { sequence } = notification.params as { sequence: number };
    // It had no room for what this client did not read, or there is none here.
    if (notification.method === "EVENTS_LOST" || this.#items.length >= this.#limit) void this.#leave();
    // Of before the snapshot.
    else if (!this.#position || sequence > this.#position.sequence) {
      if (this.#position) this.#position = { ...this.#position, sequence };
      this.#items.push(notification as DaemonEvent<Name>);
      this.#wake();
    }
  }

  /** Until this is answered, events may be those of the old subscription. */
  async #leave(): Promise<void> {
    this.#state = "leaving";
    await this.#ask("unsubscribe", {}).catch(() => {});
    this.#state = "lost";
    // A queue that has only just been full would be again.
    if (this.#items.length <= this.#limit / 2) void this.#subscribe();
  }

  #wake(): void {
    for (const read of this.#readers.splice(0)) read();
  }
}

/** What `subscribe` answers: with a snapshot, unless it is resumed. */
type Subscription = Snapshot["params"] & { readonly resumed: boolean };
