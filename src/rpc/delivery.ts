import type { Socket } from "node:net";
import type { Logger } from "pino";
import type { Passage } from "../host/devices/handed-over-devices.ts";
import type { Parcel } from "../host/devices/handovers.ts";
import { HostError } from "../host/errors.ts";

/** Sends descriptors over a socket: `unix/send-descriptors.ts`, where native code can be loaded. */
export interface Courier {
  sendDescriptors(socket: Socket, text: string, fds: readonly number[], signal: AbortSignal): Promise<void>;
  hasUnread(socket: Socket): boolean;
}

/** The descriptors that one connection is sent, an answer with some at a time. */
export class Deliveries {
  readonly #socket: Socket;
  readonly #courier: Courier | undefined;
  readonly #log: Logger;
  /** What goes with the answer to the request under way. */
  #next: Delivery | undefined;
  /** What goes, or went, with the last answer that has such. */
  #last: Delivery | undefined;
  /** Ends the wait for the client to take them. */
  readonly #patience = new AbortController();

  /** `courier`: undefined when no descriptors can be sent. */
  constructor(socket: Socket, courier: Courier | undefined, log: Logger) {
    this.#socket = socket;
    this.#courier = courier;
    this.#log = log;
  }

  /** Whether the answer to the request under way carries some. */
  get arePending(): boolean {
    return this.#next !== undefined;
  }

  /** Whether the client may still not have read the last ones. */
  get areUnderWay(): boolean {
    return this.#last?.isUnderWay ?? false;
  }

  /** @throws HostError NotSupported */
  enclose(parcel: Parcel): Passage {
    if (!this.#courier) {
      throw new HostError("NotSupported", "this daemon runs without native code, and passes no descriptors", {
        missing: "koffi",
      });
    }
    this.#next ??= new Delivery(this.#socket, this.#courier);
    this.#next.add(parcel);
    return this.#next;
  }

  /** Sends the answer's whole line with what is pending. A connection that cannot take it is of no more use, and ends. */
  async send(line: string | undefined): Promise<void> {
    const delivery = this.#next;
    this.#next = undefined;
    // Of a notification nothing is sent, and what was sent before is as far as it was.
    if (delivery && line !== undefined) this.#last = delivery;
    try {
      await delivery?.send(line, this.#patience.signal);
    } catch (err) {
      this.#log.warn({ err }, "descriptors could not be handed over; connection cut off");
      this.#socket.destroy();
    }
  }

  /** Neither now nor later is the client waited for. */
  stopWaiting(): void {
    this.#patience.abort();
  }
}

/** The descriptors that one answer carries, from when a handler encloses them until the client has read the answer. */
class Delivery implements Passage {
  readonly #socket: Socket;
  readonly #courier: Courier;
  readonly #parcels: Parcel[] = [];
  #state: "waiting" | "sent" | "dropped" = "waiting";

  constructor(socket: Socket, courier: Courier) {
    this.#socket = socket;
    this.#courier = courier;
  }

  get isUnderWay(): boolean {
    if (this.#socket.destroyed || this.#state === "dropped") return false;
    return this.#state === "waiting" || this.#courier.hasUnread(this.#socket);
  }

  add(parcel: Parcel): void {
    this.#parcels.push(parcel);
  }

  /**
   * Sends the answer's whole line with the descriptors, or drops them when there is none, for a notification; either way
   * they are closed. Rejects when the client cannot be sent it, or when `signal` ends the wait for it to read.
   */
  async send(line: string | undefined, signal: AbortSignal): Promise<void> {
    let state: "sent" | "dropped" = "dropped";
    try {
      if (line === undefined) return;
      const fds = this.#parcels.flatMap((parcel) => parcel.fds);
      await this.#courier.sendDescriptors(this.#socket, line, fds, signal);
      state = "sent";
    } finally {
      this.#state = state;
      for (const parcel of this.#parcels) parcel.close();
    }
  }
}
