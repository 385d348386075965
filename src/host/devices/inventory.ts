import { type DeviceEvent, ifPossible, type Kernel } from "../../kernel/kernel.ts";
import { finish } from "../../ranges/steps.ts";
import type { Tell } from "../changes.ts";
import { errnoOf } from "../failures.ts";
import type { Knowledge } from "../knowledge/knowledge.ts";
import type { Census } from "../platform/census.ts";
import type { Platform } from "../platform/platform.ts";
import { inSlices, OwnSlice, type Slice } from "../slice.ts";
import type { DeviceRecord } from "./device-record.ts";
import type { HandedOverDevices } from "./handed-over-devices.ts";
import type { HeldDevice, HeldDevices } from "./held-devices.ts";
import type { Holdings } from "./holdings.ts";
import type { Records } from "./records.ts";

export interface InventoryParts {
  readonly kernel: Kernel;
  readonly platform: Platform;
  readonly census: Census;
  readonly records: Records;
  readonly knowledge: Knowledge;
  readonly devices: HeldDevices;
  readonly holdings: Holdings;
  readonly handedOver: HandedOverDevices;
  readonly tell: Tell;
  /** A clock in milliseconds. */
  readonly now: () => number;
  /** What listeners were told of the devices in an earlier life, if there was one: what differs is news. */
  readonly told?: readonly DeviceRecord[] | undefined;
}

/** Events come in showers, a dozen for one device: one look, this many milliseconds after the first, is for all. */
const SHOWER = 50;
/** Milliseconds until the next look when one has failed. */
const RETRY = 1000;

/**
 * Looks at the host, and keeps the records true. The kernel says that something has happened, sysfs says what; where the
 * kernel is not heard, the next look is that of the next query.
 */
export class Inventory {
  readonly #parts: InventoryParts;
  /** The look under way, whoever takes its next step; and how many there were. */
  #steps: Iterator<undefined, void> | undefined;
  #looks = 0;
  #due: NodeJS.Timeout | undefined;
  /** Those that are on their way back to the kernel. */
  readonly #givenBack = new Set<HeldDevice>();
  /** What an earlier life has left is being settled: until that is done nothing else touches it. */
  #isWaiting: boolean;
  /** Something has happened meanwhile, or may have. */
  #isBehind = false;
  #isClosed = false;

  /** What is there by now is not news to anybody who was told nothing. */
  constructor(parts: InventoryParts) {
    this.#parts = parts;
    const { census, kernel, knowledge, platform, records, told } = parts;
    this.#isWaiting = told !== undefined;
    const watch = () => {
      kernel.watchDevices((event) => this.#hear(event));
      return true;
    };
    this.#isBehind = ifPossible(watch) === undefined;
    for (const { platform: seen } of told ?? []) census.takeOver(seen);
    for (const group of new Set([...platform.groups(), ...census.groups()])) {
      finish(census.look(group));
      knowledge.files.regions(group);
    }
    records.begin(told);
  }

  /**
   * Looks at every device. Those who ask at the same time share the work, each in slices of its own. Rejects with
   * SystemCallError when sysfs cannot be read.
   */
  async look(slice: Slice): Promise<void> {
    // What is under way may have passed by what has changed since.
    const enough = this.#looks + (this.#steps ? 2 : 1);
    while (this.#looks < enough && !this.#isClosed) {
      this.#step();
      if (slice.isOver) await slice.pass();
    }
    await this.#parts.handedOver.review();
  }

  /** Looks at a device and its group, at no more. Rejects with SystemCallError when sysfs cannot be read. */
  async lookAt(device: string, slice: Slice): Promise<void> {
    const { census } = this.#parts;
    const before = census.get(device)?.group;
    const group = census.groupOf(device);
    for (const number of new Set([before, group])) {
      if (number !== undefined) await this.lookAtGroup(number, slice);
    }
  }

  async lookAtGroup(group: number, slice: Slice): Promise<void> {
    await inSlices(this.#lookAtGroup(group), slice);
    this.#removeMissing();
  }

  /**
   * What an earlier life has left is settled: from now on it is looked whenever something happens. Resolves when what has been
   * seen so far has had its consequences, to look at everything once more only where something may have happened since.
   * `isAtRest`: to settle it took nothing that the kernel had.
   */
  async begin(isAtRest: boolean): Promise<void> {
    const { census, handedOver, now } = this.#parts;
    this.#isWaiting = false;
    if (this.#isBehind || !isAtRest) return this.look(new OwnSlice(now));
    for (const group of census.groups()) this.#giveBackOf(group);
    this.#removeMissing();
    await handedOver.review();
  }

  /** No look follows. */
  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#due);
  }

  #step(): void {
    this.#steps ??= this.#lookAtAll();
    let isDone = true;
    try {
      isDone = this.#steps.next().done === true;
    } finally {
      if (isDone) this.#steps = undefined;
    }
    if (isDone) this.#looks++;
  }

  *#lookAtAll(): Generator<undefined, void> {
    const { census, knowledge, platform, records } = this.#parts;
    for (const group of new Set([...platform.groups(), ...census.groups()])) yield* this.#lookAtGroup(group);
    this.#removeMissing();
    // A device that comes or goes with a 1:1 region changes what is said of all that have the region.
    for (const group of knowledge.files.direct.takeChanged()) {
      records.refresh(group);
      yield;
    }
  }

  *#lookAtGroup(group: number): Generator<undefined, void> {
    const { census, knowledge, records } = this.#parts;
    yield* census.look(group);
    this.#giveBackOf(group);
    // The records make do without: where it cannot be read the look has failed, and is made again.
    if (census.group(group)) knowledge.files.regions(group);
    records.refresh(group);
    yield;
  }

  /** A VFIO device leaves sysfs before its driver's unbind begins to wait for us. */
  #giveBackOf(group: number): void {
    const { census, devices } = this.#parts;
    for (const { device, vfioDevice } of census.group(group)?.devices.values() ?? []) {
      const held = devices.get(device);
      if (held && held.platform.vfioDevice !== vfioDevice) this.#giveBack(held);
    }
  }

  /** Devices that have left sysfs. As long as one is ours to give back it stays, and is then looked for again. */
  #removeMissing(): void {
    const { census, devices, handedOver, knowledge, tell } = this.#parts;
    for (const device of census.missing()) {
      const held = devices.get(device);
      if (held) this.#giveBack(held);
      else if (handedOver.shown(device)) this.#takeBack(device);
      else {
        knowledge.forget(device);
        census.remove(device);
        tell({ event: "DEVICE_REMOVED", device });
      }
    }
  }

  /** However many looks find that it is to be. */
  #giveBack(held: HeldDevice): void {
    if (this.#givenBack.has(held)) return;
    this.#givenBack.add(held);
    void this.#parts.holdings.giveBack(held).then(() => {
      this.#givenBack.delete(held);
      this.#lookSoon();
    });
  }

  #takeBack(device: string): void {
    const { handedOver } = this.#parts;
    const lookSoon = () => {
      if (!handedOver.shown(device)) this.#lookSoon();
    };
    void handedOver.review([device]).then(lookSoon, () => undefined);
  }

  #hear({ action, device }: DeviceEvent): void {
    const { census, knowledge } = this.#parts;
    // Whatever comes back under the name is a new one, also if nobody looks in between.
    const isKnown = census.get(device) !== undefined;
    if (isKnown && (action === "remove" || action === "unbind")) knowledge.forget(device);
    if (action === "remove") census.forget(device);
    if (action === "lost") {
      knowledge.forgetAll();
      census.forgetAll();
    }
    this.#lookSoon();
  }

  #lookSoon(delay = SHOWER): void {
    if (this.#isWaiting) this.#isBehind = true;
    if (this.#isClosed || this.#isWaiting) return;
    this.#due ??= setTimeout(() => {
      this.#due = undefined;
      void this.#lookNow();
    }, delay).unref();
  }

  /** No descriptor left to read sysfs with, for one, is no reason to give up what is held. */
  async #lookNow(): Promise<void> {
    const { now, tell } = this.#parts;
    try {
      await this.look(new OwnSlice(now));
    } catch (error) {
      const errno = errnoOf(error);
      if (errno === undefined) throw error;
      tell({ event: "LOOK_FAILED", errno });
      this.#lookSoon(RETRY);
    }
  }
}
