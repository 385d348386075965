import type { Kernel } from "../kernel/kernel.ts";
import { DEFAULT_LIMITS, type Limits } from "../limits.ts";
import type { Observer } from "./changes.ts";
import { Contexts } from "./contexts/contexts.ts";
import { Verifier } from "./contexts/verifier.ts";
import { Attachments } from "./devices/attachments.ts";
import { Binding } from "./devices/binding.ts";
import { HandedOverDevices } from "./devices/handed-over-devices.ts";
import { HandOvers } from "./devices/handovers.ts";
import { HeldDevices } from "./devices/held-devices.ts";
import { Holdings } from "./devices/holdings.ts";
import { Inventory } from "./devices/inventory.ts";
import { Turns } from "./devices/turns.ts";
import type { CacheCounters } from "./knowledge/cache-counters.ts";
import { Knowledge } from "./knowledge/knowledge.ts";
import type { Platform } from "./platform/platform.ts";

export interface PartsOptions {
  /** Told of every change, before the request that caused it is answered. */
  readonly observer?: Observer;
  /** May change while the host lives. */
  readonly limits?: Limits;
  /** A clock in milliseconds, for the durations in changes. */
  readonly now?: () => number;
}

export type Parts = ReturnType<typeof assemble>;

/** What a host is made of, and which part knows which. */
export function assemble(
  kernel: Kernel,
  platform: Platform,
  { observer = () => {}, now = () => performance.now(), limits = DEFAULT_LIMITS }: PartsOptions,
) {
  const counters: CacheCounters = { hits: 0, misses: 0, invalidations: 0 };
  const turns = new Turns();
  const devices = new HeldDevices(turns, limits);
  const knowledge = new Knowledge(platform, counters);
  const verifier = new Verifier(platform, knowledge, observer);
  const contexts = new Contexts(kernel, counters, observer, limits);
  const binding = new Binding(kernel, platform, knowledge, devices);
  const shared = { devices, knowledge, verifier, observer, now };
  const attachments = new Attachments({ ...shared, contexts });
  const holdings = new Holdings({ ...shared, turns, binding, attachments });
  const handedOver = new HandedOverDevices(platform, observer);
  const handOvers = new HandOvers({ kernel, binding, devices, handedOver, turns, observer });
  const inventory = new Inventory({ ...shared, kernel, platform, holdings, handedOver });
  return {
    ...{ counters, turns, devices, knowledge, verifier, contexts, binding },
    ...{ attachments, holdings, handedOver, handOvers, inventory },
  };
}
