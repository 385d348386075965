import type { Change } from "../host/changes.ts";
import { toWireEvent } from "./events.ts";
import type { Connection } from "./method.ts";

interface Subscription {
  /** Null: all of them. */
  readonly names: ReadonlySet<string> | null;
  /** Events that did not fit into the connection's queue since it was full. */
  lost: number;
}

/**
 * Passes changes on to the connections that subscribed, in order. Nobody waits for a subscriber: what does not fit
 * into its queue is counted, and when it reads again it is told how many events it has not got.
 */
export class EventHub {
  readonly #now: () => number;
  readonly #subscriptions = new Map<Connection, Subscription>();
  #sequence = 0;

  /** `now`: the wall clock, in milliseconds. */
  constructor(now: () => number = () => performance.timeOrigin + performance.now()) {
    this.#now = now;
  }

  /** Of the last event; 0 before the first. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Takes the place of an earlier subscription of the connection. */
  subscribe(connection: Connection, names: readonly string[] | undefined): void {
    if (!this.#subscriptions.has(connection)) {
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

  #confess(connection: Connection, subscription: Subscription): void {
    const count = subscription.lost;
    subscription.lost = 0;
    if (this.#subscriptions.get(connection) !== subscription) return;
    connection.notify("EVENTS_LOST", { count, ...this.#stamp() });
  }

  #stamp() {
    const microseconds = Math.floor(this.#now() * 1000);
    const seconds = Math.floor(microseconds / 1_000_000);
    return { sequence: this.#sequence, timestamp: { seconds, microseconds: microseconds % 1_000_000 } };
  }
}
