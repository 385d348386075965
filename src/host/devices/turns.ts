import { HostError } from "../errors.ts";
import { Queues } from "../queues.ts";

/**
 * Who may work on a device. One operation a device at a time: a second one is refused at once, for waiting would make
 * one client's answer depend on another's hardware. Devices of one group take turns instead: they are different
 * devices to their users, and the kernel would queue them on the group's lock anyway.
 */
export class Turns {
  /** The operation under way on each device; none of these promises rejects. */
  readonly #busy = new Map<string, Promise<unknown>>();
  readonly #groups = new Queues<number>();

  /** Resolves when no operation is under way. */
  settled(): Promise<void> {
    return this.#groups.settled();
  }

  isBusy(device: string): boolean {
    return this.#busy.has(device);
  }

  /** Resolves when no operation on the device is under way. */
  async idle(device: string): Promise<void> {
    while (this.#busy.has(device)) await this.#busy.get(device);
  }

  /** @throws HostError DeviceBusy when an operation on the device is under way */
  async take<T>(device: string, group: number, operation: () => Promise<T>): Promise<T> {
    if (this.#busy.has(device)) {
      throw new HostError("DeviceBusy", `another request is working on ${device}; try again when it is done`);
    }
    const turn = this.#groups.run(group, operation);
    this.#busy.set(
      device,
      turn.catch(() => undefined),
    );
    try {
      return await turn;
    } finally {
      this.#busy.delete(device);
    }
  }
}
