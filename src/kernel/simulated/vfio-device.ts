import { setTimeout as delay } from "node:timers/promises";
import type { Device } from "./device.ts";

/** What a device is to VFIO while a VFIO driver is bound to it. */
export class VfioDevice {
  readonly number: number;
  readonly device: Device;
  /** Whether an open file has bound the device. */
  isBound = false;
  #openFiles = 0;
  #allClosed: (() => void) | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(number: number, device: Device) {
    this.number = number;
    this.device = device;
  }

  get name(): string {
    return `vfio${this.number}`;
  }

  opened(): void {
    this.#openFiles++;
  }

  closed(): void {
    if (--this.#openFiles === 0) this.#allClosed?.();
  }

  /** Settles when no file of the device is open: what a driver's unbind waits for (vfio_unregister_group_dev). */
  async unused(): Promise<void> {
    if (this.#openFiles === 0) return;
    await new Promise<void>((resolve) => {
      this.#allClosed = resolve;
    });
  }

  /** Runs `call` after what was asked before and then `milliseconds`: the device set's lock, and the hardware. */
  inTurn<T>(milliseconds: number, call: () => T): Promise<T> {
    const turn = this.#turn.then(async () => {
      if (milliseconds > 0) await delay(milliseconds);
      return call();
    });
    this.#turn = turn.catch(() => {});
    return turn;
  }
}
