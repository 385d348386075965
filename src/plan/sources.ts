import type { Cause } from "../attribution/cause.ts";
import { type Claim, clip } from "../attribution/claims.ts";
import { deviceClaims, type KnownDevice } from "../host/knowledge/claims.ts";
import type { Blocker } from "../host/platform/blockers.ts";
import { isOnVfioDriver } from "../host/platform/platform.ts";
import { FULL } from "../ranges/range.ts";
import { RangeSet } from "../ranges/range-set.ts";
import { mapInSteps, type Steps } from "../ranges/steps.ts";
import type { Gap } from "./gaps.ts";

/** Somebody who restricts a guest's layout. */
export interface Source {
  /** Their union is all that the source excludes. */
  readonly claims: readonly Claim[];
  /** What of it a probe cannot refute; absent: all. */
  readonly certain?: RangeSet;
  /** Mappings start and end on multiples of it, in bytes; null: not known. */
  readonly alignment: bigint | null;
  /** What is not known from the kernel; absent when everything is. */
  readonly gap?: Gap;
}

/** A device that a guest may get. */
export interface CandidateDevice extends KnownDevice {
  /** What keeps it from guests until somebody changes the host. */
  readonly blockers?: readonly Pick<Blocker, "reason">[] | undefined;
}

/**
 * A device, with what keeps it from guests. What its group's file lists, it claims, also where a sibling may be the one
 * that has the region: an answer that is too narrow harms nobody, and it is not exact then. Likewise an aperture that is
 * only estimated. Of a device that cannot be attached nothing is exact, and without an IOMMU there is no address at all
 * that anything is sure to translate.
 */
export function deviceSource({ platform, reserved, blockers = [] }: CandidateDevice): Source {
  if (platform.noIommu) {
    const { device, group } = platform;
    const cause: Cause = { device, group, kind: "aperture" };
    return { claims: [{ ...FULL, cause }], alignment: null, gap: { device, state: "blocked" } };
  }
  const isExact =
    blockers.length === 0 &&
    (reserved.apertureSource === "probe" || reserved.apertureSource === "ioas") &&
    !reserved.truncated &&
    reserved.uncertain.isEmpty;
  const claims = deviceClaims({ platform, reserved });
  const { alignment } = reserved;
  if (isExact) return { claims, alignment };
  return {
    claims,
    certain: reserved.excluded,
    alignment,
    gap: { device: platform.device, state: stateOf({ platform, reserved, blockers }) },
  };
}

/** What an operator can do something about without another machine or firmware. */
const MENDABLE: ReadonlySet<Blocker["reason"]> = new Set(["no-vfio-driver", "group-sibling", "no-cdev"]);

function stateOf({ platform, reserved, blockers = [] }: CandidateDevice) {
  const isBlocked = blockers.some(({ reason }) => !MENDABLE.has(reason));
  if (isBlocked || reserved.regions.some(({ type }) => type === "direct")) return "blocked";
  if (!isOnVfioDriver(platform)) return "unbound";
  return blockers.length > 0 ? "hindered" : "ready";
}

/**
 * An IOAS: the kernel's own answer for everything in it, known to us or not. Its known devices account for what they
 * can.
 */
export function* ioasSource(
  allowed: RangeSet,
  alignment: bigint,
  devices: readonly KnownDevice[],
): Steps<Source> {
  const excluded = allowed.invert();
  const claims: Claim[] = [];
  for (const device of devices) {
    claims.push(...clip(deviceClaims(device), excluded));
    yield;
  }
  const cause: Cause = { kind: "reserved-elsewhere" };
  const accounted = yield* RangeSet.fromInSteps([...allowed, ...claims]);
  for (const { start, last } of accounted.invert()) claims.push({ start, last, cause });
  return { claims, alignment };
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

export function* hostSource({ host, allowed, alignment, exact, hint }: RemoteHost): Steps<Source> {
  const cause: Cause = { kind: "host", host };
  const claims = yield* mapInSteps(allowed.invert(), ({ start, last }) => ({ start, last, cause }));
  return exact ? { claims, alignment } : { claims, alignment, gap: { host, hint } };
}
