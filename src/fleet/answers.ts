import type { Exclusion } from "../attribution/attribution.ts";
import type { CheckedPool, PoolRemedy, Worth } from "../plan/fleet/check.ts";
import type { Fit } from "../plan/fleet/fits.ts";
import type { Outliers } from "../plan/fleet/outliers.ts";
import type { Pool, PoolHost } from "../plan/fleet/pool.ts";
import type { FleetEvent } from "../plan/fleet/watch.ts";
import type { Plan } from "../plan/plan.ts";
import { formatAddress } from "../ranges/address.ts";
import type { Range } from "../ranges/range.ts";
import type { Fleet, FleetHost } from "./fleet.ts";

/** Answers about a fleet as JSON, in the members of the planning methods. */

export function hostsAnswer(hosts: readonly FleetHost[], fleet: Fleet, now: number) {
  return {
    hosts: hosts.map(({ host, state, age, digest, published, profile, trouble }) => ({
      ...{ host, state, age: age === null ? null : Math.round(age * 10) / 10 },
      devices: profile?.devices.length ?? null,
      assignable: profile?.devices.filter((each) => each.assignable).length ?? null,
      available: profile?.devices.filter((each) => each.available).length ?? null,
      exact: profile?.exact ?? false,
      ...{ digest, class: digest?.slice(0, CLASS_LENGTH) ?? null, published },
      ...(trouble === undefined ? {} : { trouble }),
    })),
    classes: new Set(hosts.flatMap(({ digest }) => digest ?? [])).size,
    troubles: fleet.troubles(now, hosts),
  };
}

/** So many digits of a digest tell classes apart. */
const CLASS_LENGTH = 8;

export function checkAnswer(checked: CheckedPool) {
  return {
    fits: checked.fits,
    ...worthAnswer(checked),
    "iova-alignment": addressOrNull(checked.alignment),
    windows: checked.windows.map(({ name, start, last, required, fits, misaligned, conflicts }) => ({
      ...{ name, ...rangeAnswer({ start, last }), required, fits, misaligned },
      conflicts: conflicts.map(exclusionAnswer),
    })),
    remedies: checked.remedies.map(remedyAnswer),
    enforced: false,
  };
}

export function predictAnswer({ plan, excluded, ...worth }: Worth & { plan: Plan; excluded: Exclusion[] }) {
  return {
    ranges: [...plan.ranges].map(rangeAnswer),
    "iova-alignment": addressOrNull(plan.alignment),
    ...worthAnswer(worth),
    excluded: excluded.map(exclusionAnswer),
  };
}

export function findAnswer({ range, ...worth }: Worth & { range: Range | null }) {
  return { range: range && rangeAnswer(range), ...worthAnswer(worth) };
}

/** `stale` names all that are: also one that by its last word could not. */
export function fitsAnswer(hosts: readonly Fit[], { hosts: asked }: Pool) {
  const taking = hosts.filter(({ fits }) => fits);
  const named = (state: PoolHost["state"]) =>
    asked.filter((each) => each.state === state).map(({ host }) => host);
  return {
    fits: taking.length > 0,
    exact: taking.length > 0 && taking.every(({ exact }) => exact),
    hosts: hosts.map(({ devices, conflicts, ...each }) => ({
      ...each,
      devices: [...devices],
      ...(conflicts ? { conflicts: conflicts.map(exclusionAnswer) } : {}),
    })),
    stale: named("stale"),
    unreadable: named("unreadable"),
  };
}

export function outliersAnswer(
  { outliers, more }: Outliers,
  { exact, hint, unreadable }: Omit<Worth, "stale">,
) {
  const stale = new Set(
    outliers.flatMap(({ hosts }) => hosts.filter((each) => each.stale).map(({ host }) => host)),
  );
  return {
    outliers: outliers.map(({ hosts, ranges, bytes, gain }) => ({
      hosts: hosts.map(({ host, devices }) => ({ host, devices: [...devices] })),
      ranges: [...ranges].map(rangeAnswer),
      bytes: formatAddress(bytes),
      gain: formatAddress(gain),
    })),
    more,
    ...worthAnswer({ exact, ...(hint === undefined ? {} : { hint }), unreadable, stale: [...stale].sort() }),
  };
}

export function eventAnswer({ event, ...params }: FleetEvent, now: number) {
  const timestamp = { seconds: Math.floor(now / 1000), microseconds: (now % 1000) * 1000 };
  if ("gained" in params) {
    const [gained, lost] = [params.gained, params.lost].map((set) => [...set].map(rangeAnswer));
    return { method: event, params: { ...params, gained, lost, timestamp } };
  }
  if (!("windows" in params)) return { method: event, params: { ...params, timestamp } };
  const windows = params.windows.map(({ name, start, last, misaligned, conflicts }) => ({
    ...{ name, ...rangeAnswer({ start, last }), misaligned },
    conflicts: conflicts.map(exclusionAnswer),
  }));
  return { method: event, params: { ...params, windows, timestamp } };
}

function worthAnswer({ exact, hint, stale, unreadable }: Worth) {
  return {
    exact,
    ...(hint === undefined ? {} : { hint }),
    // Of hosts of which a device is blocked the lists leave the device out.
    blockers: [],
    stale: [...stale],
    unreadable: [...unreadable],
  };
}

function remedyAnswer(remedy: PoolRemedy) {
  return remedy.kind === "memory" ? { ...remedy, memory: formatAddress(remedy.memory) } : remedy;
}

function exclusionAnswer({ start, last, causes }: Exclusion) {
  return { ...rangeAnswer({ start, last }), causes: [...causes] };
}

function rangeAnswer({ start, last }: Range) {
  return { start: formatAddress(start), last: formatAddress(last) };
}

function addressOrNull(address: bigint | null): string | null {
  return address === null ? null : formatAddress(address);
}
