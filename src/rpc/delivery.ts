import type { Socket } from "node:net";
import type { Passage } from "../host/devices/handed-over-devices.ts";
import type { Parcel } from "../host/devices/handovers.ts";

/** Sends descriptors over a socket: `unix/send-descriptors.ts`, where native code can be loaded. */
export interface Courier {
  sendDescriptors(socket: Socket, text: string, fds: readonly number[], signal: AbortSignal): Promise<void>;
  hasUnread(socket: Socket): boolean;
}

/** The descriptors that one answer carries, from when a handler encloses them until the client has read the answer. */
export class Delivery implements Passage {
  readonly #socket: Socket;
  readonly #courier: Courier;
  readonly #parcels: Parcel[] = [];
  /** The answer's line, as soon as it is known; undefined: there is none, for a notification. */
  answer: string | undefined;
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
   * Sends the answer with the descriptors, or drops them when there is no answer, for a notification; either way they
   * are closed. Rejects when the client cannot be sent it, or when `signal` ends the wait for it to read.
   */
  async send(signal: AbortSignal): Promise<void> {
    const { answer } = this;
    let state: "sent" | "dropped" = "dropped";
    try {
      if (answer === undefined) return;
      const fds = this.#parcels.flatMap((parcel) => parcel.fds);
      await this.#courier.sendDescriptors(this.#socket, `${answer}\n`, fds, signal);
      state = "sent";
    } finally {
      this.#state = state;
      for (const parcel of this.#parcels) parcel.close();
    }
  }
}
