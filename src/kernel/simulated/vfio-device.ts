import { setTimeout as delay } from "node:timers/promises";
import type { Device } from "./device.ts";
import type { EventFile } from "./event-file.ts";
import type { VfioGroup } from "./vfio-group.ts";

/** How long an unbind waits before it asks again, in milliseconds. */
const PATIENCE = 10_000;

/** What a device is to VFIO while a VFIO driver is bound to it. */
export class VfioDevice {
  readonly number: number;
  readonly device: Device;
  readonly group: VfioGroup;
  /** Whether an open file has bound the device. */
  isBound = false;
  /** What is signalled to have the device back, for as long as it is bound. */
  requestTrigger: EventFile | null = null;
  #openFiles = 0;
  #allClosed: (() => void) | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(number: number, device: Device, group: VfioGroup) {
    this.number = number;
    this.device = device;
    this.group = group;
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

  /** Settles when no file of the device is open, and until then asks for it: vfio_unregister_group_dev. */
  async unused(): Promise<void> {
    if (this.#openFiles === 0) return;
    const again = setInterval(() => this.requestTrigger?.signal(), PATIENCE).unref();
    this.requestTrigger?.signal();
    await new Promise<void>((resolve) => {
      this.#allClosed = resolve;
    });
    clearInterval(again);
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
