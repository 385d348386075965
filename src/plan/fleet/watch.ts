import type { Exclusion } from "../../attribution/attribution.ts";
import { finish } from "../../ranges/steps.ts";
import { type CheckedWindow, checkLayout, type Window } from "../layout.ts";
import { exclusions } from "../plan.ts";
import { Pool, type PoolHost, poolPlan } from "./pool.ts";
import type { Profile } from "./profile.ts";

/** Something about a fleet that somebody who watches it wants to know. */
export type FleetEvent =
  | {
      readonly event: "HOST_CAME" | "HOST_CHANGED" | "HOST_FRESH";
      readonly host: string;
      readonly digest: string;
    }
  | { readonly event: "HOST_GONE"; readonly host: string }
  | { readonly event: "HOST_STALE"; readonly host: string; readonly detail: string }
  | { readonly event: "HOST_UNREADABLE"; readonly host: string; readonly detail: string }
  /** The host does not allow all of the watched layout, or what it forbids has changed. */
  | { readonly event: "LAYOUT_BROKEN"; readonly host: string; readonly windows: readonly BrokenWindow[] }
  /** It does again, or is gone. */
  | { readonly event: "LAYOUT_MENDED"; readonly host: string };

/** A window of the watched layout, with what is in the way. */
export type BrokenWindow = Pick<CheckedWindow, "name" | "start" | "last" | "misaligned"> & {
  readonly conflicts: readonly Exclusion[];
};

/** Tells what changes of a fleet mean. A change costs as much as one host does, however many there are. */
export class FleetWatch {
  readonly #windows: readonly Window[];
  readonly #hosts = new Map<string, PoolHost>();
  readonly #broken = new Map<string, string>();
  readonly #checked = new WeakMap<Profile, readonly BrokenWindow[]>();

  /** @param windows what every host is to allow; of those that are not required nothing is told */
  constructor(windows: readonly Window[]) {
    this.#windows = windows.filter((window) => window.required);
  }

  /** A host is as told from now on. */
  set(now: PoolHost): FleetEvent[] {
    const before = this.#hosts.get(now.host);
    this.#hosts.set(now.host, now);
    return [...stateEvents(before, now), ...this.#layoutEvents(now)];
  }

  /** A host has said good-bye. */
  remove(host: string): FleetEvent[] {
    if (!this.#hosts.delete(host)) return [];
    const gone: FleetEvent = { event: "HOST_GONE", host };
    return this.#broken.delete(host) ? [gone, { event: "LAYOUT_MENDED", host }] : [gone];
  }

  /** Whether every host of which anything is known allows the layout. */
  get fits(): boolean {
    return this.#broken.size === 0;
  }

  #layoutEvents({ host, profile }: PoolHost): FleetEvent[] {
    // What cannot be read breaks nothing that is known to be broken, and mends nothing.
    if (!profile) return [];
    const windows = this.#brokenBy(profile, host);
    const before = this.#broken.get(host);
    if (windows.length === 0) return this.#broken.delete(host) ? [{ event: "LAYOUT_MENDED", host }] : [];
    const text = windows.map(textOf).join();
    this.#broken.set(host, text);
    return text === before ? [] : [{ event: "LAYOUT_BROKEN", host, windows }];
  }

  #brokenBy(profile: Profile, host: string): readonly BrokenWindow[] {
    let broken = this.#checked.get(profile);
    if (!broken) {
      const plan = poolPlan(new Pool([{ host: "", state: "fresh", age: 0, profile }]));
      const { windows } = finish(checkLayout(plan, this.#windows, exclusions, () => () => {}));
      broken = windows.filter(({ fits }) => !fits);
      this.#checked.set(profile, broken);
    }
    return broken.map(({ name, start, last, misaligned, conflicts }) => ({
      ...{ name, start, last, misaligned },
      conflicts: conflicts.map((each) => ({ ...each, causes: [{ kind: "host", host }] })),
    }));
  }
}

function textOf({ name, misaligned, conflicts }: BrokenWindow): string {
  return `${name} ${misaligned} ${conflicts.map(({ start, last }) => `${start}-${last}`).join(" ")}`;
}

function stateEvents(before: PoolHost | undefined, now: PoolHost): FleetEvent[] {
  const { host, state, profile, trouble } = now;
  const digest = profile?.digest ?? "";
  const events: FleetEvent[] = [];
  if (!before) events.push({ event: "HOST_CAME", host, digest });
  else if (before.profile && profile && before.profile.digest !== digest)
    events.push({ event: "HOST_CHANGED", host, digest });
  if (state === (before?.state ?? "fresh")) return events;
  if (state === "fresh") return [...events, { event: "HOST_FRESH", host, digest }];
  const silence = now.age === null ? "it is silent" : `it has been silent for ${Math.round(now.age)} s`;
  if (state === "stale") return [...events, { event: "HOST_STALE", host, detail: trouble ?? silence }];
  return [...events, { event: "HOST_UNREADABLE", host, detail: trouble ?? "its profile cannot be read" }];
}
