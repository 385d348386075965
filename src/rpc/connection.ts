import type { Role } from "../access/policy.ts";
import type { Passage } from "../host/devices/handed-over-devices.ts";
import type { Parcel } from "../host/devices/handovers.ts";
import type { EventWording } from "./wire-event.ts";

/** Who is at the other end of a connection, and what it may do. */
export interface Caller {
  readonly uid: number;
  readonly pid: number;
  readonly role: Role;
}

/** The connection that a request came over. */
export interface Connection {
  /** Unique in the life of the daemon. */
  readonly id: number;
  readonly peer: Caller;
  readonly dialect: EventWording;
  /**
   * Runs `callback` once when the connection is over and its last request has settled, unless the function that is
   * returned is called before.
   */
  onClose(callback: () => void): () => void;
  /** Runs `callback` once when the answer to the request under way has been sent, or will not be. */
  onceAnswered(callback: () => void): void;
  /**
   * Sends descriptors with the first byte of the answer to the request under way (SCM_RIGHTS), and closes them.
   * Several parcels for one answer come in their order.
   */
  enclose(parcel: Parcel): Passage;
}

/** Where events go: a connection that has subscribed. */
export interface Subscriber extends Connection {
  /** Whether the client has taken all that it was sent, so that one piece more would not only wait. */
  readonly isReady: boolean;
  /** Sends whole lines that are no answer. */
  deliver(lines: Buffer): void;
  /** Runs `callback` once when the client has taken all that it was sent; never when the connection ends before. */
  onceReady(callback: () => void): void;
}
