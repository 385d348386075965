import type { Change } from "../host/changes.ts";
import { limitExceeded } from "../host/errors.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import { toWireEvent } from "./events.ts";
import type { Connection } from "./method.ts";

interface Subscription {
  /** Null: all of them. */
  readonly names: ReadonlySet<string> | null;
  /** Events that did not fit into the connection's queue since it was full. */
  lost: number;
}

export interface EventHubOptions {
  /** The wall clock, in milliseconds. */
  readonly now?: () => number;
  readonly limits?: Limits;
}

/**
 * Passes changes on to the connections that subscribed, in order. Nobody waits for a subscriber: what does not fit
 * into its queue is counted, and when it reads again it is told how many events it has not got.
 */
export class EventHub {
  readonly #now: () => number;
  readonly #limits: Limits;
  readonly #subscriptions = new Map<Connection, Subscription>();
  /** Connections whose end is listened to. */
  readonly #known = new WeakSet<Connection>();
  #sequence = 0;

  constructor({ now, limits = DEFAULT_LIMITS }: EventHubOptions = {}) {
    this.#now = now ?? (() => performance.timeOrigin + performance.now());
    this.#limits = limits;
  }

  /** Of the last event; 0 before the first. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Takes the place of an earlier subscription of the connection. @throws HostError LimitExceeded */
  subscribe(connection: Connection, names: readonly string[] | undefined): void {
    if (!this.#subscriptions.has(connection)) this.#refuseBeyondLimit(connection.peer.uid);
    if (!this.#known.has(connection)) {
      this.#known.add(connection);
      connection.onClose(() => this.#subscriptions.delete(connection));
    }
    this.#subscriptions.set(connection, { names: names ? new Set(names) : null, lost: 0 });
  }

  unsubscribe(connection: Connection): void {
    this.#subscriptions.delete(connection);
  }

  /** Sends the event that tells of a change, where there is one. */
  publish(change: Change): void {
    const params = toWireEvent(change);
    if (!params) return;
    this.#sequence++;
    const stamped = { ...params, ...this.#stamp() };
    for (const [connection, subscription] of this.#subscriptions) {
      if (subscription.names && !subscription.names.has(change.event)) continue;
      if (subscription.lost === 0 && connection.notify(change.event, stamped)) continue;
      if (subscription.lost++ === 0) connection.onceDrained(() => this.#confess(connection, subscription));
    }
  }

  #refuseBeyondLimit(uid: number): void {
    const own = [...this.#subscriptions.keys()].filter(({ peer }) => peer.uid === uid).length;
    if (own < this.#limits["max-subscriptions-per-uid"]) return;
    const message = `uid ${uid} has ${own} subscriptions, and no more are allowed; end one with unsubscribe`;
    throw limitExceeded("max-subscriptions-per-uid", message);
  }

  #confess(connection: Connection, subscription: Subscription): void {
    if (this.#subscriptions.get(connection) !== subscription) return;
    const isTold = connection.notify("EVENTS_LOST", { count: subscription.lost, ...this.#stamp() });
    if (isTold) subscription.lost = 0;
    else connection.onceDrained(() => this.#confess(connection, subscription));
  }

  #stamp() {
    const microseconds = Math.floor(this.#now() * 1000);
    const seconds = Math.floor(microseconds / 1_000_000);
    return { sequence: this.#sequence, timestamp: { seconds, microseconds: microseconds % 1_000_000 } };
  }
}
