import type { Exclusion } from "../../attribution/attribution.ts";
import type { RangeSet } from "../../ranges/range-set.ts";
import { finish } from "../../ranges/steps.ts";
import { type CheckedWindow, checkLayout, type Window } from "../layout.ts";
import { exclusions } from "../plan.ts";
import { Pool, type PoolHost, poolPlan } from "./pool.ts";
import type { Profile } from "./profile.ts";

/** Something about a fleet that somebody who watches it wants to know. */
export type FleetEvent =
  | { readonly event: "HOST_CAME" | "HOST_FRESH"; readonly host: string; readonly digest: string }
  /** `gained`, `lost`: what it allows as a whole now and did not before, and the other way round. */
  | {
      readonly event: "HOST_CHANGED";
      readonly host: string;
      readonly digest: string;
      readonly gained: RangeSet;
      readonly lost: RangeSet;
    }
  | { readonly event: "HOST_GONE"; readonly host: string }
  | { readonly event: "HOST_STALE"; readonly host: string; readonly detail: string }
  | { readonly event: "HOST_UNREADABLE"; readonly host: string; readonly detail: string }
  /** The host does not allow all of the watched layout, or what it forbids has changed. */
  | {
      readonly event: "LAYOUT_BROKEN";
      readonly host: string;
      readonly windows: readonly BrokenWindow[];
      readonly cause: { readonly event: FleetEvent["event"]; readonly devices: readonly string[] };
    }
  /** It does again, or is gone. */
  | {
      readonly event: "LAYOUT_MENDED";
      readonly host: string;
      readonly cause: { readonly event: FleetEvent["event"] };
    };

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
    const events = stateEvents(before, now);
    return [...events, ...this.#layoutEvents(now, events.at(-1)?.event ?? "HOST_CHANGED")];
  }

  /** A host has said good-bye. */
  remove(host: string): FleetEvent[] {
    if (!this.#hosts.delete(host)) return [];
    const gone: FleetEvent = { event: "HOST_GONE", host };
    return this.#broken.delete(host) ? [gone, mended(host, gone.event)] : [gone];
  }

  /** Whether every host of which anything is known allows the layout. */
  get fits(): boolean {
    return this.#broken.size === 0;
  }

  /** @param event what has just happened to the host */
  #layoutEvents({ host, profile }: PoolHost, event: FleetEvent["event"]): FleetEvent[] {
    // What cannot be read breaks nothing that is known to be broken, and mends nothing.
    if (!profile) return [];
    const windows = this.#brokenBy(profile, host);
    const before = this.#broken.get(host);
    if (windows.length === 0) return this.#broken.delete(host) ? [mended(host, event)] : [];
    const text = windows.map(textOf).join();
    this.#broken.set(host, text);
    if (text === before) return [];
    return [{ event: "LAYOUT_BROKEN", host, windows, cause: { event, devices: atFault(profile, windows) } }];
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

function mended(host: string, event: FleetEvent["event"]): FleetEvent {
  return { event: "LAYOUT_MENDED", host, cause: { event } };
}

/** The devices that alone exclude any of what is in the way. */
function atFault({ devices }: Profile, windows: readonly BrokenWindow[]): string[] {
  const ranges = windows.flatMap(({ conflicts }) => conflicts);
  const excludes = ({ assignable, allowed }: Profile["devices"][number]) =>
    assignable && ranges.some((range) => !allowed.covers(range));
  return devices.filter(excludes).map(({ device }) => device);
}

function textOf({ name, misaligned, conflicts }: BrokenWindow): string {
  return `${name} ${misaligned} ${conflicts.map(({ start, last }) => `${start}-${last}`).join(" ")}`;
}

function stateEvents(before: PoolHost | undefined, now: PoolHost): FleetEvent[] {
  const { host, state, profile, trouble } = now;
  const digest = profile?.digest ?? "";
  const events: FleetEvent[] = [];
  if (!before) events.push({ event: "HOST_CAME", host, digest });
  else if (before.profile && profile && before.profile.digest !== digest) {
    const [was, is] = [before.profile.allowed, profile.allowed];
    const [gained, lost] = [is.subtract(was), was.subtract(is)];
    events.push({ event: "HOST_CHANGED", host, digest, gained, lost });
  }
  if (state === (before?.state ?? "fresh")) return events;
  if (state === "fresh") return [...events, { event: "HOST_FRESH", host, digest }];
  const silence = now.age === null ? "it is silent" : `it has been silent for ${Math.round(now.age)} s`;
  if (state === "stale") return [...events, { event: "HOST_STALE", host, detail: trouble ?? silence }];
  return [...events, { event: "HOST_UNREADABLE", host, detail: trouble ?? "its profile cannot be read" }];
}
