import type { Exclusion } from "../../attribution/attribution.ts";
import { finish } from "../../ranges/steps.ts";
import { checkLayout, type Window, windowFits } from "../layout.ts";
import { exclusions } from "../plan.ts";
import { Pool, type PoolHost, poolPlan } from "./pool.ts";
import type { Profile, ProfileDevice } from "./profile.ts";
import { shares } from "./shares.ts";

/** So many devices of a kind that a guest is to get. */
export interface Want {
  readonly count: number;
  /** As lspci prints them, in lower case behind 0x; undefined: any. */
  readonly vendor?: string | undefined;
  readonly device?: string | undefined;
}

/**
 * Why a host cannot take a guest. In this order, and the first that holds is told: `unreadable`; `no-device`: too few of
 * the kind; `not-assignable`, `not-available`: enough of them, but blocked or in use; `layout`: the windows do not fit
 * beside so many of them; `stale`: it could when it was last heard of.
 */
export type Reason = "unreadable" | "no-device" | "not-assignable" | "not-available" | "layout" | "stale";

export interface Fit {
  readonly host: string;
  readonly fits: boolean;
  readonly exact: boolean;
  /** The devices that the guest would get there: the first of those that serve. */
  readonly devices: readonly string[];
  readonly reason?: Reason;
  /** The reason, for people. */
  readonly detail?: string;
  /** What is in the way, of the required windows. */
  readonly conflicts?: readonly Exclusion[];
}

type Verdict = Omit<Fit, "host">;

/** Which hosts can take a guest with these devices, in the order of their names. */
export function fitsOf(pool: Pool, windows: readonly Window[], wants: readonly Want[]): Fit[] {
  const required = windows.filter((window) => window.required);
  const verdicts = new Map<Profile, Verdict>();
  return pool.hosts.map((each) => {
    const { host, profile, trouble } = each;
    if (!profile) return { host, ...refusal("unreadable", trouble ?? "its profile cannot be read") };
    const verdict = verdicts.get(profile) ?? verdictOf(profile, required, wants);
    verdicts.set(profile, verdict);
    if (each.state === "fresh" || !verdict.fits) return { host, ...withCause(verdict, host) };
    return { host, ...refusal("stale", `${sinceWhen(each)}; by its last word it could`) };
  });
}

function withCause({ conflicts, ...verdict }: Verdict, host: string): Verdict {
  if (!conflicts) return verdict;
  return { ...verdict, conflicts: conflicts.map((each) => ({ ...each, causes: [{ kind: "host", host }] })) };
}

function sinceWhen({ age, trouble }: PoolHost): string {
  return trouble ?? (age === null ? "it is silent" : `it has been silent for ${Math.round(age)} s`);
}

function refusal(reason: Reason, detail: string, conflicts?: readonly Exclusion[]): Verdict {
  return { fits: false, exact: false, devices: [], reason, detail, ...(conflicts && { conflicts }) };
}

/** By a profile alone, as if it held. */
function verdictOf(profile: Profile, windows: readonly Window[], wants: readonly Want[]): Verdict {
  if (wants.length === 0) {
    const plan = limitsOn(profile, profile.allowed);
    if (windows.every((window) => windowFits(plan, window))) {
      return { fits: true, exact: profile.exact, devices: [] };
    }
    return layoutRefusal(profile, windows, "the windows do not fit beside all that is assignable there");
  }
  const alike = profile.devices;
  const assignable = alike.filter((each) => each.assignable);
  const available = assignable.filter((each) => each.available);
  const refused =
    lacking(wants, alike, "no-device", (own) => `it has ${own}`) ??
    lacking(wants, assignable, "not-assignable", (own, want) => {
      const all = kindOf(want, alike).length;
      return `no guest can have ${all - own} of its ${all}`;
    }) ??
    lacking(wants, available, "not-available", (own, want) => {
      return `${own} of its ${kindOf(want, assignable).length} are free`;
    });
  if (refused) return refused;
  const serves = ({ allowed }: ProfileDevice) => {
    const plan = limitsOn(profile, allowed);
    return windows.every((window) => windowFits(plan, window));
  };
  const serving = available.filter(serves);
  const exact = serving.filter((each) => each.exact);
  const chosen = dealt(wants, exact) ?? dealt(wants, serving);
  if (!chosen) {
    const isInTheWay = (each: ProfileDevice) => wants.some((want) => isWanted(each, want)) && !serves(each);
    const first = available.find(isInTheWay) as ProfileDevice;
    const detail = `the windows do not fit with ${first.device}`;
    return layoutRefusal({ ...profile, allowed: first.allowed }, windows, detail);
  }
  return {
    fits: true,
    exact: chosen.every((each) => each.exact),
    devices: chosen.map(({ device }) => device).sort(),
  };
}

/** Devices for all of the wants; undefined: these do not serve them in full. */
function dealt(wants: readonly Want[], devices: readonly ProfileDevice[]): ProfileDevice[] | undefined {
  const found = shares(wants, devices, isWanted);
  return wants.every(({ count }, i) => found[i]?.length === count) ? found.flat() : undefined;
}

/**
 * The refusal for the first want that these devices do not serve in full beside the wants before it; undefined: they serve
 * all. `short` tells of a want that has too few of its own kind among them.
 */
function lacking(
  wants: readonly Want[],
  devices: readonly ProfileDevice[],
  reason: Reason,
  short: (own: number, want: Want) => string,
): Verdict | undefined {
  const found = shares(wants, devices, isWanted);
  for (const [i, want] of wants.entries()) {
    const count = found[i]?.length ?? 0;
    if (count === want.count) continue;
    const own = kindOf(want, devices).length;
    const why =
      own < want.count ? short(own, want) : `the others that are wanted leave ${count} of its ${own}`;
    return refusal(reason, `wanted ${want.count} of ${nameOf(want)}, and ${why}`);
  }
  return undefined;
}

function kindOf(want: Want, devices: readonly ProfileDevice[]): ProfileDevice[] {
  return devices.filter((each) => isWanted(each, want));
}

function layoutRefusal(profile: Profile, windows: readonly Window[], detail: string): Verdict {
  const plan = poolPlan(new Pool([{ host: "", state: "fresh", age: 0, profile }]));
  const { windows: checked } = finish(checkLayout(plan, windows, exclusions, () => () => {}));
  const bad = checked.filter(({ fits }) => !fits);
  const conflicts = bad.flatMap((window) => window.conflicts.map((each) => ({ ...each, causes: [] })));
  const names = bad.map(({ name }) => name);
  return refusal("layout", `${detail}: ${names.slice(0, 4).join(", ")}`, conflicts);
}

function limitsOn({ alignment }: Profile, ranges: Profile["allowed"]) {
  return { ...EMPTY, ranges, alignment };
}

const EMPTY = poolPlan(new Pool([]));

function isWanted({ pci }: ProfileDevice, { vendor, device }: Want): boolean {
  return (vendor === undefined || pci?.vendor === vendor) && (device === undefined || pci?.device === device);
}

function nameOf({ vendor = "any", device = "any" }: Want): string {
  return `${vendor.replace("0x", "")}:${device.replace("0x", "")}`;
}
