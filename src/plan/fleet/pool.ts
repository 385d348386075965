import type { Cause } from "../../attribution/cause.ts";
import type { Claim } from "../../attribution/claims.ts";
import type { RangeSet } from "../../ranges/range-set.ts";
import { finish } from "../../ranges/steps.ts";
import { makePlan, type Plan } from "../plan.ts";
import type { Source } from "../sources.ts";
import type { Profile } from "./profile.ts";

/**
 * What a host's word is worth now. `fresh`: its heart has beaten of late. `stale`: it has not, or nobody can tell. Of
 * an `unreadable` host there is no word that this version understands.
 */
export type HostState = "fresh" | "stale" | "unreadable";

/** A host of a fleet. */
export interface PoolHost {
  readonly host: string;
  readonly state: HostState;
  /** Seconds since its heart has beaten; null when nobody can tell. */
  readonly age: number | null;
  /** Absent when unreadable. */
  readonly profile?: Profile;
  /** What is wrong with it, for people. */
  readonly trouble?: string;
}

/** Hosts that restrict a layout in the same way. */
export interface Limit {
  /** Of one of the hosts: it stands for all of them in claims. */
  readonly key: string;
  readonly hosts: readonly PoolHost[];
  readonly allowed: RangeSet;
  readonly alignment: bigint | null;
}

/** Hosts between which guests are to move. Questions cost per limit and not per host. */
export class Pool {
  /** By name. */
  readonly hosts: readonly PoolHost[];
  readonly limits: readonly Limit[];
  readonly #byKey: ReadonlyMap<string, Limit>;
  /** Of which there may be few, and each may stand for all of the hosts many times over. */
  readonly #causes = new Map<string, Cause[]>();

  /** @param hosts each name once */
  constructor(hosts: Iterable<PoolHost>) {
    this.hosts = [...hosts].sort((a, b) => (a.host < b.host ? -1 : 1));
    this.limits = limitsOf(this.hosts);
    this.#byKey = new Map(this.limits.map((limit) => [limit.key, limit]));
  }

  /** Those of which something is known. */
  get size(): number {
    return this.limits.reduce((count, { hosts }) => count + hosts.length, 0);
  }

  get unreadable(): string[] {
    return this.hosts.filter(({ state }) => state === "unreadable").map(({ host }) => host);
  }

  /** The part of which the word holds. */
  fresh(): Pool {
    const hosts = this.hosts.filter(({ state }) => state === "fresh");
    return hosts.length === this.hosts.length ? this : new Pool(hosts);
  }

  /** The part without these hosts. */
  without(names: ReadonlySet<string>): Pool {
    return new Pool(this.hosts.filter(({ host }) => !names.has(host)));
  }

  /** The hosts that a cause of this pool's plan stands for, in the planner's words and order. */
  causesOf(causes: readonly Cause[]): readonly Cause[] {
    const key = causes.map(({ host }) => host).join(" ");
    const known = this.#causes.get(key) ?? this.#named(causes);
    this.#causes.set(key, known);
    return known;
  }

  #named(causes: readonly Cause[]): Cause[] {
    const hosts = causes.flatMap(({ host }) => this.#byKey.get(host as string)?.hosts ?? []);
    const named = hosts.map(({ host }): Cause => ({ kind: "host", host }));
    return causes.length > 1 ? named.sort((a, b) => (`${a.host}` < `${b.host}` ? -1 : 1)) : named;
  }
}

type Growing = Limit & { readonly hosts: PoolHost[] };

function limitsOf(hosts: readonly PoolHost[]): Limit[] {
  const found = new Map<RangeSet, Map<bigint | null, Growing>>();
  const limits: Limit[] = [];
  for (const each of hosts) {
    if (!each.profile) continue;
    const { allowed, alignment } = each.profile;
    const alike = found.get(allowed) ?? new Map<bigint | null, Growing>();
    found.set(allowed, alike);
    const known = alike.get(alignment);
    if (known) known.hosts.push(each);
    else {
      const limit = { key: each.host, hosts: [each], allowed, alignment };
      alike.set(alignment, limit);
      limits.push(limit);
    }
  }
  return limits;
}

/**
 * What every host of the pool allows: as the planner's own with all of them as `hosts`, but for the causes of its
 * claims, which name one host of each limit ({@link Pool.causesOf}).
 */
export function poolPlan(pool: Pool): Plan {
  const sources: Source[] = [];
  for (const { key, allowed, alignment } of pool.limits) {
    const cause: Cause = { kind: "host", host: key };
    const claims: Claim[] = Array.from(allowed.invert(), ({ start, last }) => ({ start, last, cause }));
    sources.push({ claims, alignment });
  }
  for (const host of pool.hosts) {
    const hint = doubtOf(host);
    if (hint !== undefined) sources.push({ claims: [], alignment: null, gap: { host: host.host, hint } });
  }
  return finish(makePlan(sources));
}

/** Why nothing is exact that rests on the host; undefined when it is. */
function doubtOf({ state, age, profile, trouble }: PoolHost): string | undefined {
  if (state === "unreadable") return trouble ?? "its profile cannot be read";
  if (state === "stale") {
    const since = age === null ? "" : ` for ${Math.round(age)} s`;
    return trouble ?? `nothing was heard of it${since}: see whether iovad-fleet runs there`;
  }
  if (profile?.exact) return undefined;
  return profile?.hint ?? "its profile is not exact";
}
