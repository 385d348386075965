import { monotonic } from "../clock.ts";
import type { Kernel } from "../kernel/kernel.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import type { Observer, Tell } from "./changes.ts";
import { Contexts } from "./contexts/contexts.ts";
import { Ends } from "./contexts/ends.ts";
import { Leases } from "./contexts/leases.ts";
import { Verifier } from "./contexts/verifier.ts";
import { Attachments } from "./devices/attachments.ts";
import { Binding } from "./devices/binding.ts";
import { Changing } from "./devices/changing.ts";
import { HandedOverDevices } from "./devices/handed-over-devices.ts";
import { HandOvers } from "./devices/handovers.ts";
import { HeldDevices } from "./devices/held-devices.ts";
import { Holdings } from "./devices/holdings.ts";
import { Inventory } from "./devices/inventory.ts";
import { Records } from "./devices/records.ts";
import { Refusals } from "./devices/refusals.ts";
import { ResvIoctl } from "./devices/resv-ioctl.ts";
import { Turns } from "./devices/turns.ts";
import type { CacheCounters } from "./knowledge/cache-counters.ts";
import { Knowledge } from "./knowledge/knowledge.ts";
import { LastingBlockers } from "./knowledge/lasting-blockers.ts";
import { Census } from "./platform/census.ts";
import type { Platform } from "./platform/platform.ts";
import { Users } from "./platform/users.ts";
import { type DescriptorStore, type Journal, NO_JOURNAL, NO_STORE } from "./survival/journal.ts";
import { Recorder } from "./survival/recorder.ts";
import { restore } from "./survival/restore.ts";
import { UnderWay } from "./survival/under-way.ts";

export interface HostOptions {
  /** Told of every change, before the request that caused it is answered. */
  readonly observer?: Observer;
  /** May change while the host lives. */
  readonly limits?: Limits;
  /** A clock in milliseconds, for the durations in changes. */
  readonly now?: () => number;
  /** The number of the proposed IOMMU_RESV_IOVA_RANGES on a kernel that has it. */
  readonly resvIovaRangesIoctl?: number | null;
  /** What outlives this process; at the start, what an earlier one has left. */
  readonly journal?: Journal;
  readonly store?: DescriptorStore;
}

export type Parts = ReturnType<typeof assemble>;

/** What a host is made of. Each part is given those that it works with, by name and as one object. */
export function assemble(
  kernel: Kernel,
  platform: Platform,
  {
    observer = () => {},
    now = monotonic,
    limits = DEFAULT_LIMITS,
    resvIovaRangesIoctl = null,
    journal = NO_JOURNAL,
    store = NO_STORE,
  }: HostOptions,
) {
  const counters: CacheCounters = { hits: 0, misses: 0, invalidations: 0 };
  // All that happens goes through the records: they know what it changes, and for whom.
  const tell: Tell = (news) => journal.together(() => records.tell(news));
  const observed: Observer = (change) => recorder.note(change, () => observer(change));
  const turns = new Turns();
  const underWay = new UnderWay(journal);
  const outside = { kernel, platform, limits, observer: observed, now, tell, counters, turns };
  const users = new Users({ kernel });
  const devices = new HeldDevices(outside);
  const handedOver = new HandedOverDevices({ ...outside, users, journal });
  const isOurs = (device: string) =>
    devices.get(device) !== undefined || handedOver.shown(device) !== undefined || turns.isBusy(device);
  const census = new Census({ platform, isOurs });
  const context = (name: string) => contexts.find(name);
  const recorder = new Recorder({ journal, devices, handedOver, context });
  const knowledge = new Knowledge({ ...outside, census, recorder });
  const known = {
    ...outside,
    users,
    devices,
    handedOver,
    census,
    knowledge,
    recorder,
    journal,
    store,
    underWay,
  };
  const lasting = new LastingBlockers(known);
  const records = new Records({ ...known, lasting });
  const contexts = new Contexts(known);
  const leases = new Leases();
  const verifier = new Verifier(known);
  const changing = new Changing({ devices, verifier, underWay, journal });
  const refusals = new Refusals({ knowledge, records });
  const shared = { ...known, lasting, records, refusals, contexts, changing };
  const resvIoctl = new ResvIoctl({ devices, tell, resvIovaRangesIoctl });
  const binding = new Binding(shared);
  const attachments = new Attachments(shared);
  const holdings = new Holdings({ ...shared, binding, attachments });
  const ends = new Ends({ ...shared, holdings, leases });
  const handOvers = new HandOvers({ ...shared, binding });
  const legacy = restore(shared);
  const inventory = new Inventory({ ...shared, holdings, told: legacy?.told });
  if (!legacy?.told) recorder.begin(records.all());
  return {
    ...{ counters, turns, users, devices, census, knowledge, verifier, contexts, records, resvIoctl },
    ...{
      attachments,
      holdings,
      handedOver,
      handOvers,
      ends,
      inventory,
      leases,
      tell,
      now,
      underWay,
      legacy,
      journal,
      store,
    },
  };
}
