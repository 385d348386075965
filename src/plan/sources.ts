import type { Reserved } from "../host/knowledge/knowledge.ts";
import { isOnVfioDriver, type PlatformDevice } from "../host/platform/platform.ts";
import { FULL } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import type { Claim } from "./attribution.ts";
import type { Cause } from "./cause.ts";
import type { Gap } from "./gaps.ts";

/** A device of this host with what is known of the ranges that it takes out of an IOAS. */
export interface KnownDevice {
  readonly platform: PlatformDevice;
  readonly reserved: Reserved;
}

/** Somebody who restricts a guest's layout. */
export interface Source {
  /** Their union is all that the source excludes. */
  readonly claims: readonly Claim[];
  /** Mappings start and end on multiples of it, in bytes; null: not known. */
  readonly alignment: bigint | null;
  /** What is not known from the kernel; absent when everything is. */
  readonly gap?: Gap;
}

/**
 * A device. What its group's file lists, it claims, also where a sibling may be the one that has the region: an answer
 * that is too narrow harms nobody, and it is not exact then. Likewise an aperture that is only estimated. Without an
 * IOMMU there is no address that anything is sure to translate.
 */
export function deviceSource({ platform, reserved }: KnownDevice): Source {
  const { device } = platform;
  if (platform.noIommu) {
    const cause: Cause = { device, group: platform.group, kind: "aperture" };
    return { claims: [{ ...FULL, cause }], alignment: null, gap: { device, state: "blocked" } };
  }
  const isExact =
    (reserved.apertureSource === "probe" || reserved.apertureSource === "ioas") &&
    !reserved.truncated &&
    reserved.uncertain.isEmpty;
  const claims = deviceClaims({ platform, reserved });
  const { alignment } = reserved;
  if (isExact) return { claims, alignment };
  const state = reserved.regions.some(({ type }) => type === "direct")
    ? "blocked"
    : isOnVfioDriver(platform)
      ? "ready"
      : "unbound";
  return { claims, alignment, gap: { device, state } };
}

/**
 * An IOAS: the kernel's own answer for everything in it, known to us or not. Its known devices account for what they
 * can.
 */
export function ioasSource(allowed: RangeSet, alignment: bigint, devices: readonly KnownDevice[]): Source {
  const excluded = allowed.invert();
  const claims = devices.flatMap((device) => clip(deviceClaims(device), excluded));
  return { claims: [...claims, ...unclaimed(excluded, claims, { kind: "reserved-elsewhere" })], alignment };
}

/** What another host told of itself. */
export interface RemoteHost {
  readonly host: string;
  readonly allowed: RangeSet;
  readonly alignment: bigint | null;
  /** Whether the host says that its list is exact; a list that says nothing may be anything. */
  readonly exact: boolean;
  /** What the host itself advises. */
  readonly hint?: string | undefined;
}

export function hostSource({ host, allowed, alignment, exact, hint }: RemoteHost): Source {
  const cause: Cause = { kind: "host", host };
  const claims = [...allowed.invert()].map((range) => ({ ...range, cause }));
  return exact ? { claims, alignment } : { claims, alignment, gap: { host, hint } };
}

function deviceClaims({ platform: { device, group }, reserved }: KnownDevice): Claim[] {
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

function unclaimed(excluded: RangeSet, claims: readonly Claim[], cause: Cause): Claim[] {
  return [...excluded.subtract(RangeSet.from(claims))].map((range) => ({ ...range, cause }));
}

/** The parts of the claims that lie in `set`. */
function clip(claims: readonly Claim[], set: RangeSet): Claim[] {
  return claims.flatMap((claim) => {
    if (set.covers(claim)) return [claim];
    const parts = set.overlaps(claim) ? set.intersect(RangeSet.from([claim])) : RangeSet.EMPTY;
    return [...parts].map((part) => ({ ...part, cause: claim.cause }));
  });
}
