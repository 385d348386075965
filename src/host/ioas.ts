import type { Iommufd, IovaRanges } from "../kernel/iommufd.ts";
import { RangeSet } from "../ranges/range-set.ts";
import type { CacheCounters } from "./cache-counters.ts";

/** The kernel's answer for one IOAS, and how fresh it is. */
export interface Allowed extends IovaRanges {
  /** True when it was kept from an earlier call; nothing has happened since that could change it. */
  readonly cached: boolean;
  /** Grows by one whenever the answer may have changed. */
  readonly generation: number;
}

/**
 * One IO address space: which devices are attached, and the kernel's answer for it, kept while nothing can have
 * changed it. In a context that others share anybody may attach unseen, so there nothing is kept.
 */
export class Ioas {
  readonly id: number;
  /** The devices of this daemon that are attached. */
  readonly devices = new Set<string>();
  /** What IOMMU_IOAS_ALLOW_IOVAS was last given; null: everything is allowed. */
  allowList: RangeSet | null = null;
  /** What the kernel answered at the last look; before the first attach it is everything. */
  lastSeen: RangeSet = RangeSet.ALL;
  readonly #iommufd: Iommufd;
  readonly #counters: CacheCounters;
  readonly #isShared: () => boolean;
  #generation = 1;
  #kept: Allowed | null = null;
  /** Attaches, detaches and closes under way that will change the answer at a moment nobody knows. */
  #changes = 0;

  constructor(id: number, iommufd: Iommufd, counters: CacheCounters, isShared: () => boolean) {
    this.id = id;
    this.#iommufd = iommufd;
    this.#counters = counters;
    this.#isShared = isShared;
  }

  get generation(): number {
    return this.#generation;
  }

  get isChanging(): boolean {
    return this.#changes > 0;
  }

  /** The answer for a client: the kept one at once, else the kernel's. Throws SystemCallError. */
  allowed(): Allowed | Promise<Allowed> {
    if (this.#kept && !this.#isShared()) {
      this.#counters.hits++;
      return this.#kept;
    }
    this.#counters.misses++;
    return this.#ask();
  }

  async #ask(): Promise<Allowed> {
    const generation = this.#generation;
    const answer = { ...(await this.read()), generation };
    // Only an answer that no change has overlapped may be kept.
    if (!this.isChanging && generation === this.#generation && !this.#isShared()) {
      this.#kept = { ...answer, cached: true };
    }
    return { ...answer, cached: false };
  }

  /**
   * The kernel's answer of this moment, past the cache. While an attach is under way the call would wait on the IOAS's
   * lock (`drivers/iommu/iommufd/io_pagetable.c: iova_rwsem`), so then it leaves the event loop.
   */
  read(): Promise<IovaRanges> {
    return this.#iommufd.iovaRanges(this.id, this.isChanging ? "off-loop" : "on-loop");
  }

  /** IOMMU_IOAS_ALLOW_IOVAS; the answer for the IOAS does not depend on it. Throws SystemCallError. */
  async allow(ranges: RangeSet): Promise<void> {
    await this.#iommufd.allowIovas(this.id, ranges, this.isChanging ? "off-loop" : "on-loop");
    this.allowList = ranges.isEmpty ? null : ranges;
  }

  /** For IoasChange: until the change has ended nothing is kept. */
  changeBegins(): void {
    this.#changes++;
    this.#kept = null;
  }

  /** For IoasChange. */
  changeEnds(hasEffect: boolean): void {
    this.#changes--;
    if (!hasEffect) return;
    this.#generation++;
    this.#counters.invalidations++;
  }
}

/** An attach, detach or close under way, and the IO address spaces whose answers it changes when nobody can tell. */
export class IoasChange {
  readonly ioases = new Set<Ioas>();
  /** Whether the answers may have changed; from a failed first attach, for one, the kernel recovers whole. */
  hasEffect = false;

  constructor(ioas: Ioas) {
    this.include(ioas);
  }

  include(ioas: Ioas): void {
    if (this.ioases.has(ioas)) return;
    this.ioases.add(ioas);
    ioas.changeBegins();
  }

  end(): void {
    for (const ioas of this.ioases) ioas.changeEnds(this.hasEffect);
  }
}
