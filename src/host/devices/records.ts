import { isDeepStrictEqual } from "node:util";
import { ifPossible } from "../../kernel/kernel.ts";
import type { HoldingNews, News, Observer } from "../changes.ts";
import type { LastingBlockers } from "../knowledge/lasting-blockers.ts";
import type { GroupView } from "../platform/blockers.ts";
import type { Census, SeenDevice } from "../platform/census.ts";
import { transientBlockers } from "./availability.ts";
import { type DeviceRecord, type Holding, UNHELD } from "./device-record.ts";
import type { HandedOverDevices } from "./handed-over-devices.ts";
import type { HeldDevices } from "./held-devices.ts";

/** What the devices of a group have in common when their records are made. */
interface Common extends GroupView {
  /** Those that anybody has. */
  readonly taken: readonly SeenDevice[];
}

export interface RecordsParts {
  readonly census: Census;
  readonly lasting: LastingBlockers;
  readonly devices: HeldDevices;
  readonly handedOver: HandedOverDevices;
  readonly observer: Observer;
}

/**
 * The devices of the host as clients are shown them. A record becomes another one only together with the change that
 * tells of it, so that who folds the changes into an earlier snapshot has the records.
 */
export class Records {
  readonly #parts: RecordsParts;
  readonly #records = new Map<string, DeviceRecord>();
  /** Of the groups, as they could be seen last. */
  readonly #views = new Map<number, GroupView>();
  #isNews = false;
  #names: readonly string[] | undefined;

  constructor(parts: RecordsParts) {
    this.#parts = parts;
  }

  /** Makes the first records; what has been seen by now is news only where listeners were `told` something else. */
  begin(told?: readonly DeviceRecord[]): void {
    for (const record of told ?? []) this.#set(record.platform.device, record);
    this.#isNews = told !== undefined;
    for (const group of this.#parts.census.groups()) this.refresh(group);
    this.#isNews = true;
  }

  get(device: string): DeviceRecord | undefined {
    return this.#records.get(device);
  }

  /** All of them, sorted by name. */
  all(): DeviceRecord[] {
    this.#names ??= [...this.#records.keys()].sort();
    return this.#names.flatMap((device) => this.#records.get(device) ?? []);
  }

  /** Tells of a change, and of all that it changes in the records. */
  tell(news: News): void {
    switch (news.event) {
      case "DEVICE_HELD":
      case "DEVICE_RELEASED":
      case "DEVICE_ATTACHED":
      case "DEVICE_DETACHED":
      case "DEVICE_HANDED_OVER":
        this.#tellOfHolding(news);
        break;
      case "DEVICE_REMOVED":
        this.#set(news.device, undefined);
        this.#parts.observer(news);
        break;
      case "CONTEXT_DESTROYED":
        this.#parts.observer(news);
        for (const group of this.#parts.handedOver.groupsWithout(news.context)) this.refresh(group);
        break;
      default:
        this.#parts.observer(news);
    }
  }

  /** Brings the records of a group up to date, and tells of what has changed. */
  refresh(group: number): void {
    const devices = this.#parts.census.group(group)?.devices;
    if (!devices) {
      this.#views.delete(group);
      return;
    }
    const common = this.#common(group);
    for (const seen of devices.values()) {
      const { device } = seen;
      const before = this.#records.get(device);
      const record = this.#recordOf(seen, common);
      if (before && isDeepStrictEqual(before, record)) continue;
      this.#set(device, record);
      if (!this.#isNews) continue;
      this.#parts.observer({ event: before ? "DEVICE_CHANGED" : "DEVICE_ADDED", device, record });
    }
  }

  /** Who folds the event knows of the holding and the blockers, and not of what sysfs shows by now. */
  #tellOfHolding(news: HoldingNews): void {
    const seen = this.#parts.census.get(news.device);
    if (!seen) return;
    // Taken before anybody has looked at what has come.
    if (!this.#records.has(news.device)) this.refresh(seen.group);
    const record = this.#recordOf(seen, this.#common(seen.group));
    const { platform } = this.#records.get(news.device) ?? record;
    const told = { ...record, platform };
    this.#set(news.device, told);
    this.#parts.observer({ ...news, record: told });
    this.refresh(seen.group);
  }

  #recordOf(seen: SeenDevice, common: Common): DeviceRecord {
    const { isInUse: _, ...platform } = seen;
    const holding = this.#holdingOf(seen.device);
    const blockers = [
      ...this.#parts.lasting.of(seen, common),
      ...transientBlockers(seen, holding, common.taken),
    ];
    return {
      platform,
      ...holding,
      blockers,
      assignable: blockers.every(({ transient }) => transient),
      available: blockers.length === 0,
    };
  }

  #holdingOf(device: string): Holding {
    const held = this.#parts.devices.get(device);
    if (held) {
      const { context, owner, deviceId, ioas } = held;
      const state = ioas ? "attached" : "held";
      return { state, context: context.name, ioas: ioas?.id ?? null, deviceId, owner };
    }
    const given = this.#parts.handedOver.shown(device);
    if (!given) return UNHELD;
    const context = given.context.isOver ? null : given.context.name;
    return { ...UNHELD, state: "handed-over", context, owner: given.owner };
  }

  #common(group: number): Common {
    const devices = [...(this.#parts.census.group(group)?.devices.values() ?? [])];
    const isTaken = ({ device, isInUse }: SeenDevice) =>
      isInUse ||
      this.#parts.devices.get(device) !== undefined ||
      this.#parts.handedOver.shown(device) !== undefined;
    return { ...this.#view(group), taken: devices.filter(isTaken) };
  }

  /** What has happened is told, whether or not sysfs can be read in that moment: the next look makes up for it. */
  #view(group: number): GroupView {
    const seen = ifPossible(() => this.#parts.lasting.view(group));
    if (seen) this.#views.set(group, seen);
    return seen ?? this.#views.get(group) ?? { number: group, hostDma: [], direct: [] };
  }

  #set(device: string, record: DeviceRecord | undefined): void {
    if (!record || !this.#records.has(device)) this.#names = undefined;
    if (record) this.#records.set(device, Object.freeze(record));
    else this.#records.delete(device);
  }
}
