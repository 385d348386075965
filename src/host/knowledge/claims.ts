import { attribute, type Exclusion } from "../../attribution/attribution.ts";
import type { Cause } from "../../attribution/cause.ts";
import { type Claim, clip, unclaimed } from "../../attribution/claims.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import type { PlatformDevice } from "../platform/platform.ts";
import type { Reserved } from "./reserved.ts";

/** A device of this host with what is known of the ranges that it takes out of an IOAS. */
export interface KnownDevice {
  readonly platform: PlatformDevice;
  readonly reserved: Reserved;
}

/** The claims of what is kept: the same for as long as that is, and asked for by every plan. */
const keptClaims = new WeakMap<
  Reserved,
  { readonly device: PlatformDevice; readonly claims: readonly Claim[] }
>();

/**
 * All that a device excludes, as far as is known. What its group's file lists, it claims, also where a sibling may be the
 * one that has the region, and what lies outside an aperture that is only estimated.
 */
export function deviceClaims({ platform, reserved }: KnownDevice): readonly Claim[] {
  const kept = keptClaims.get(reserved);
  if (kept?.device.device === platform.device && kept.device.group === platform.group) return kept.claims;
  const claims = claimsOf({ platform, reserved });
  keptClaims.set(reserved, { device: platform, claims });
  return claims;
}

function claimsOf({ platform: { device, group }, reserved }: KnownDevice): Claim[] {
  const { excluded, uncertain, aperture } = reserved;
  const causes = new Map<string, Cause>();
  const regions = reserved.regions.flatMap(({ start, last, type, enforced }) => {
    const cause = causes.get(type) ?? { device, group, kind: "region", type };
    causes.set(type, cause);
    return enforced ? [{ start, last, cause }] : [];
  });
  const claims = clip(regions, uncertain.isEmpty ? excluded : excluded.union(uncertain));
  if (aperture) {
    const cause: Cause = { device, group, kind: "aperture" };
    for (const range of RangeSet.from([aperture]).invert()) claims.push({ ...range, cause });
  }
  return [...claims, ...unclaimed(excluded, claims, { device, group, kind: "reserved-elsewhere" })];
}

/** What an error says of conflicts; truncated: there are more. */
export interface Conflicts {
  readonly conflicts: readonly Exclusion[];
  readonly truncated?: true;
}

/** How many causes an error names. */
const CAUSE_LIMIT = 1024;

/**
 * Which parts of `wanted` the devices exclude, and why: the first ones. `denied`: what of it the kernel excludes, where it
 * has told; what no device accounts for is `reserved-elsewhere` then.
 */
export function conflictsIn(wanted: RangeSet, devices: readonly KnownDevice[], denied?: RangeSet): Conflicts {
  const claims = devices.flatMap(deviceClaims);
  const rest = denied ? unclaimed(denied, claims, { kind: "reserved-elsewhere" }) : [];
  const conflicts: Exclusion[] = [];
  let left = CAUSE_LIMIT;
  for (const exclusion of attribute([...claims, ...rest], denied ?? wanted)) {
    left -= exclusion.causes.length;
    if (left < 0) return { conflicts, truncated: true };
    conflicts.push(exclusion);
  }
  return { conflicts };
}
