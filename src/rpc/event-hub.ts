import { steadyTime } from "../clock.ts";
import type { Change } from "../host/changes.ts";
import { limitExceeded } from "../host/errors.ts";
import { type Journal, NO_JOURNAL } from "../host/survival/journal.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { randomUuid } from "../random.ts";
import type { Subscriber } from "./connection.ts";
import { EventLog } from "./event-log.ts";
import { toWireEvent } from "./events.ts";
import { KeptEvents } from "./kept-events.ts";
import { Subscription } from "./subscription.ts";
import type { TimeSlice } from "./time-slice.ts";
import { TimeSlices } from "./time-slices.ts";

export interface EventHubOptions {
  /** The wall clock, in milliseconds. */
  readonly now?: () => number;
  readonly limits?: Limits;
  /** Where the sending of events takes its turns. */
  readonly slices?: TimeSlices;
  /** Of the lineage of state that the events tell of, where nothing outlives the process. */
  readonly instance?: string;
  /** What outlives it: the last events, and the lineage. */
  readonly journal?: Journal;
}

/** The entry of the journal that has it. */
const INSTANCE = "instance";

/** The user that the daemon's own work counts for. */
const ITSELF = -1;

/**
 * Passes changes on to the connections that subscribed, in order. Nobody waits for a subscriber: each reads the log at
 * its own pace, and who has fallen behind too far is told how many events it has not got.
 */
export class EventHub {
  readonly log: EventLog;
  #instance: string;
  readonly #journal: Journal;
  readonly #kept: KeptEvents;
  readonly #limits: Limits;
  readonly #slice: TimeSlice;
  readonly #subscriptions = new Map<Subscriber, Subscription>();
  /** What takes back the wish to hear of a subscriber's end. */
  readonly #forget = new Map<Subscriber, () => void>();
  /** Those whose client has taken what it was sent, and may be sent more. */
  readonly #due = new Set<Subscription>();
  /** There are events that nobody has been asked about. */
  #hasNews = false;
  #isSending = false;

  constructor({
    now,
    limits = DEFAULT_LIMITS,
    slices = new TimeSlices(),
    instance,
    journal = NO_JOURNAL,
  }: EventHubOptions = {}) {
    this.#journal = journal;
    this.#instance = instance ?? journal.entries.get(INSTANCE) ?? randomUuid();
    journal.put(INSTANCE, this.#instance);
    this.#kept = new KeptEvents(journal);
    this.#limits = limits;
    this.#slice = slices.slice(ITSELF);
    const clock = now ?? steadyTime();
    this.log = new EventLog(limits, clock, () => journal.flush());
    this.log.takeOver(this.#kept.read());
  }

  get instance(): string {
    return this.#instance;
  }

  /** What follows is of another lineage: nobody can go on from before. */
  renew(): void {
    this.#instance = randomUuid();
    this.#journal.put(INSTANCE, this.#instance);
  }

  /** Of the last event; 0 before the first. */
  get sequence(): number {
    return this.log.sequence;
  }

  get subscriptions(): number {
    return this.#subscriptions.size;
  }

  /** How many events subscribers have not got because they read too slowly, over all. */
  lost = 0;

  /**
   * Sends the connection every event behind `since`, from when the request under way is answered. Takes the place of an
   * earlier subscription of the connection. `names`: only these. @throws HostError LimitExceeded
   */
  subscribe(connection: Subscriber, names: readonly string[] | undefined, since = this.sequence): void {
    const before = this.#subscriptions.get(connection);
    if (before) before.end();
    else {
      this.#refuseBeyondLimit(connection.peer.uid);
      const forget = connection.onClose(() => this.unsubscribe(connection));
      this.#forget.set(connection, forget);
    }
    const subscription = new Subscription(connection, this.log, this.#limits, names, since, {
      due: () => this.#sendTo(subscription),
      lost: (count) => {
        this.lost += count;
      },
    });
    this.#subscriptions.set(connection, subscription);
    connection.onceAnswered(() => subscription.begin());
  }

  /** Whether every event behind that one is remembered. */
  remembers({ instance, sequence }: { instance: string; sequence: number }): boolean {
    const { log } = this;
    return instance === this.instance && sequence <= log.sequence && sequence + 1 >= log.oldest;
  }

  unsubscribe(connection: Subscriber): void {
    this.#subscriptions.get(connection)?.end();
    this.#subscriptions.delete(connection);
    this.#forget.get(connection)?.();
    this.#forget.delete(connection);
  }

  /** What the connection is to be sent before the answer to its request: some lines at a time, without their end. */
  takeFor(connection: Subscriber): Iterable<string> {
    return this.#subscriptions.get(connection)?.takeAll() ?? [];
  }

  /** Notes the event that tells of a change, where there is one, and sends it. */
  publish(change: Change): void {
    const event = toWireEvent(change);
    if (!event) return;
    const logged = this.log.add(change.event, event);
    this.#journal.behind(() => this.#kept.add(logged));
    this.#hasNews = true;
    this.#send();
  }

  #sendTo(subscription: Subscription): void {
    this.#due.add(subscription);
    this.#send();
  }

  /** On the next turn of the loop, so that events of one moment go together; with many subscribers in several. */
  #send(): void {
    if (this.#isSending) return;
    this.#isSending = true;
    setImmediate(() => void this.#sendAll());
  }

  async #sendAll(): Promise<void> {
    while (this.#hasNews || this.#due.size > 0) {
      const all = this.#hasNews ? this.#subscriptions.values() : [...this.#due];
      this.#hasNews = false;
      this.#due.clear();
      for (const subscription of all) {
        if (this.#slice.isOver) await this.#slice.pass();
        subscription.send();
      }
    }
    this.#slice.rest();
    this.#isSending = false;
  }

  #refuseBeyondLimit(uid: number): void {
    let own = 0;
    for (const { peer } of this.#subscriptions.keys()) if (peer.uid === uid) own++;
    if (own < this.#limits["max-subscriptions-per-uid"]) return;
    const message = `uid ${uid} has ${own} subscriptions, and no more are allowed; close a connection that has one, or unsubscribe there`;
    throw limitExceeded("max-subscriptions-per-uid", message);
  }
}
