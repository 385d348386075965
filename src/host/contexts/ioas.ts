import type { Iommufd, IovaRanges, Where } from "../../kernel/iommufd.ts";
import { NamedRanges } from "../../ranges/named-ranges.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import type { CacheCounters } from "../knowledge/cache-counters.ts";
import { Queues } from "../queues.ts";
import type { Owner } from "./owners.ts";
import type { SlowReads } from "./slow-reads.ts";

/** The kernel's answer for one IOAS, and how fresh it is. */
export interface Allowed extends IovaRanges {
  /** The devices of this daemon that were attached then. */
  readonly devices: readonly string[];
  /** True when it was kept from an earlier call; nothing has happened since that could change it. */
  readonly cached: boolean;
  /** Grows by one whenever the answer may have changed. */
  readonly generation: number;
}

/** What is kept of an IOAS for a later life. */
export interface IoasState {
  readonly generation: number;
  /** What listeners were told last. */
  readonly told: RangeSet;
  readonly allowList: NamedRanges | null;
}

/** What made a generation grow: a change that has come to something, or an answer that is not what the last one was. */
export type Growth = "change" | "answer";

/** What an IOAS has of the context that it is in. */
export interface Surroundings {
  readonly name: string;
  readonly owner: Owner;
  readonly shared: boolean;
  looks: number;
  readonly slowReads: SlowReads;
  run<T>(operation: () => Promise<T>): Promise<T>;
  /** The IOAS has another generation. */
  grown(ioas: Ioas, by: Growth): void;
}

/**
 * One IO address space: which devices are attached, and the kernel's answer for it, kept while nothing can have
 * changed it. In a context that others share anybody may attach unseen, so there nothing is kept.
 */
export class Ioas {
  readonly id: number;
  readonly owner: Owner;
  /** Made by another holder of the context's iommufd. */
  readonly isDiscovered: boolean;
  /** The devices of this daemon that are attached. */
  readonly devices = new Set<string>();
  /** What IOMMU_IOAS_ALLOW_IOVAS was last given; null: everything is allowed. */
  allowList: NamedRanges | null = null;
  /** Destroyed: listeners are told no more of it, for the id may be another one's. */
  isGone = false;
  /** What listeners were told last; before the first attach it is everything. */
  #told: RangeSet = RangeSet.ALL;
  /** Looks for listeners so far, and the number of the one whose answer they were told last. */
  #looks = 0;
  #lastTold = 0;
  /** The last answer of this generation that anybody was given. */
  #seen: RangeSet | null = null;
  readonly #iommufd: Iommufd;
  readonly context: Surroundings;
  readonly #counters: CacheCounters;
  #generation = 1;
  #kept: Allowed | null = null;
  /** Attaches, detaches and closes under way that will change the answer at a moment nobody knows. */
  #changes = 0;
  /** Those that have come to something. */
  #effects = 0;
  /** Calls under way: until they are done, the id must not come to mean another object. */
  #calls = 0;
  readonly #allowing = new Queues<"allow-list">();

  /** `owner`: undefined for one that is found in a context; it belongs to who the context belongs to. */
  constructor(id: number, iommufd: Iommufd, context: Surroundings, counters: CacheCounters, owner?: Owner) {
    this.id = id;
    this.owner = owner === undefined ? context.owner : owner;
    this.isDiscovered = owner === undefined;
    this.#iommufd = iommufd;
    this.context = context;
    this.#counters = counters;
  }

  /** What was so in an earlier life; the kernel's answer has yet to be asked for. */
  takeOver({ generation, told, allowList }: IoasState): void {
    this.#generation = generation;
    this.#told = told;
    this.allowList = allowList;
  }

  get generation(): number {
    return this.#generation;
  }

  get isChanging(): boolean {
    return this.#changes > 0;
  }

  /** Whether a change or a call is under way. */
  get isInUse(): boolean {
    return this.isChanging || this.#calls > 0;
  }

  /** The answer for a client: the kept one at once, else the kernel's. Throws SystemCallError. */
  allowed(): Allowed | Promise<Allowed> {
    if (this.#kept && !this.isChanging && !this.context.shared) {
      this.#counters.hits++;
      return this.#kept;
    }
    this.#counters.misses++;
    return this.#ask();
  }

  async #ask(): Promise<Allowed> {
    // Others may have changed it since it was last looked at.
    if (this.context.shared) {
      this.#generation = this.context.looks = Math.max(this.#generation, this.context.looks) + 1;
      this.context.grown(this, "answer");
    }
    const { generation, isChanging } = this;
    const effects = this.#effects;
    const read = await this.read();
    // It may be of before: with which devices in it, nobody can tell.
    if (effects !== this.#effects) return this.#ask();
    const answer = { ...read, devices: [...this.devices] };
    if (generation !== this.#generation || this.context.shared)
      return { ...answer, cached: false, generation };
    this.#see(answer.ranges);
    const fresh = { ...answer, cached: false, generation: this.#generation };
    // What overlaps a change may be of a moment that did not last, also when the change fails and leaves no trace.
    if (!isChanging) this.#kept = { ...fresh, cached: true };
    return fresh;
  }

  /**
   * The kernel's answer of this moment, past the cache. While an attach is under way the call would wait on the IOAS's
   * lock (`drivers/iommu/iommufd/io_pagetable.c: iova_rwsem`), so then it leaves the event loop; in a shared context,
   * where nobody knows what is under way, it always does.
   */
  read(): Promise<IovaRanges> {
    const { id, context } = this;
    return this.#call((where) => {
      const ask = () => this.#iommufd.iovaRanges(id, where);
      return where === "on-loop" ? ask() : context.slowReads.read(id, context.shared, ask);
    });
  }

  /** Begins a look for listeners: the number by which its answer, once it is there, is told from older ones. */
  look(): number {
    return ++this.#looks;
  }

  /**
   * Notes what listeners are told, and returns what they were told before. Undefined, and they are to be told nothing,
   * when the answer is the same, or a look that began later has been told of already: it has seen all that this one has.
   */
  tell(look: number, ranges: RangeSet): RangeSet | undefined {
    if (this.isGone || look < this.#lastTold) return undefined;
    this.#lastTold = look;
    const before = this.#told;
    if (ranges.equals(before)) return undefined;
    this.#told = ranges;
    this.#see(ranges);
    return before;
  }

  /**
   * IOMMU_IOAS_ALLOW_IOVAS; the answer for the IOAS does not depend on it. `changed` is called at once when there is
   * another list than before, or another name in it. Throws SystemCallError.
   */
  async allow(list: NamedRanges, changed: () => void): Promise<void> {
    // Who waits is in it, too: the id must be this IOAS's still when its turn comes.
    this.#calls++;
    try {
      // One at a time: of two in threads nobody could tell which list the kernel has kept.
      await this.#allowing.run("allow-list", async () => {
        await this.#call((where) => this.#iommufd.allowIovas(this.id, list.ranges, where));
        const before = this.allowList ?? NamedRanges.EMPTY;
        this.allowList = list.isEmpty ? null : list;
        if (!list.equals(before)) changed();
      });
    } finally {
      this.#calls--;
    }
  }

  /** Off the loop, a call may begin late, so the context's descriptor and the id have to stay what they are until then. */
  async #call<T>(call: (where: Where) => Promise<T>): Promise<T> {
    if (!this.isChanging && !this.context.shared) return call("on-loop");
    this.#calls++;
    try {
      return await this.context.run(() => call("off-loop"));
    } finally {
      this.#calls--;
    }
  }

  /** For IoasChange: until the change has ended nothing is kept, and nothing that was kept is given out. */
  changeBegins(): void {
    this.#changes++;
  }

  /** For IoasChange. */
  changeEnds(): void {
    this.#changes--;
  }

  /** For IoasChange: what was given out before is of another generation. */
  answersChange(): void {
    this.#effects++;
    this.#next("change");
    this.#counters.invalidations++;
  }

  /** Within a change, one answer may be of before and the next of after: those are two generations. */
  #see(ranges: RangeSet): void {
    if (this.#seen && !this.#seen.equals(ranges)) this.#next("answer");
    this.#seen = ranges;
  }

  #next(by: Growth): void {
    this.#kept = null;
    this.#seen = null;
    this.#generation++;
    this.context.grown(this, by);
  }
}
