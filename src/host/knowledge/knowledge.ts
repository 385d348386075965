import type { IovaRanges } from "../../kernel/iommufd.ts";
import type { Range } from "../../ranges/range.ts";
import type { RangeSet } from "../../ranges/range-set.ts";
import { readableNow } from "../failures.ts";
import { estimateAperture } from "../platform/aperture-estimate.ts";
import type { Blocker } from "../platform/blockers.ts";
import type { Census } from "../platform/census.ts";
import type { Platform, PlatformDevice } from "../platform/platform.ts";
import type { ReservedRegions } from "../platform/reserved-regions.ts";
import type { CacheCounters } from "./cache-counters.ts";
import { GroupFiles } from "./group-files.ts";
import { type Backend, type Learnt, LearntByDevice, type LearntRecorder, type Refusal } from "./learnt.ts";
import { apertureOf, byList, combine, enforcedOf, type Reserved } from "./reserved.ts";

export interface KnowledgeParts {
  readonly platform: Platform;
  readonly census: Census;
  readonly counters: CacheCounters;
  readonly recorder: LearntRecorder & { changes(of: string | number, count: number): void };
}

/** What outlives this process. */
export interface Lessons {
  readonly learnt: Iterable<Learnt>;
  readonly refusals: Iterable<Refusal>;
  /** By the number of a group or the name of an IOMMU. */
  readonly changes: Iterable<readonly [string | number, number]>;
}

/** What is known of a device, and what that was made of. */
interface Kept {
  readonly file: ReservedRegions;
  readonly learnt: Learnt | undefined;
  readonly reserved: Reserved;
}

/**
 * What the daemon knows of each device's reserved ranges: the group's `reserved_regions` file, and what the kernel
 * showed of a device alone in an IOAS (a probe, or a first attach). Both hold until the device is seen on another driver
 * or not at all, and what looks the same but is not is forgotten by its events.
 */
export class Knowledge {
  readonly #parts: KnowledgeParts;
  readonly files: GroupFiles;
  readonly #learnt: LearntByDevice;
  /** How often what is known of a group, by its number, or of the devices behind an IOMMU, by its name, has changed. */
  readonly #changes = new Map<number | string, number>();
  readonly #kept = new Map<string, Kept>();
  readonly #estimates = new Map<string, Range | null>();
  /** How often each device was forgotten, and how often all were. */
  readonly #lives = new Map<string, number>();
  #purges = 0;

  constructor(parts: KnowledgeParts) {
    this.#parts = parts;
    this.files = new GroupFiles(parts.platform, parts.census, (group) => this.#dropped(group, null));
    this.#learnt = new LearntByDevice(
      ({ device: { group, iommu } }) => this.#dropped(group, iommu),
      parts.recorder,
    );
  }

  /**
   * `listed`: what the proposed ioctl lists for the device, where there is one and the device is held.
   * @throws HostError KernelError when sysfs cannot be read
   */
  reserved(device: PlatformDevice, listed?: RangeSet): Reserved {
    return readableNow(() => this.#reserved(device, listed));
  }

  #reserved(device: PlatformDevice, listed: RangeSet | undefined): Reserved {
    const { file, cached } = this.files.answer(device.group);
    const learnt = this.#learnt.of(device);
    const combined = this.#combined(device, file, learnt);
    if (listed) return byList(combined, file, listed, learnt);
    return cached ? combined : { ...combined, cached };
  }

  /** An IOAS is compared after every attach with what is known of all that are in it, so that is made once. */
  #combined(device: PlatformDevice, file: ReservedRegions, learnt: Learnt | undefined): Reserved {
    const generation = this.#generation(device);
    const known = this.#kept.get(device.device);
    if (known?.file === file && known.learnt === learnt && known.reserved.generation === generation)
      return known.reserved;
    const aperture = learnt ? learnt.aperture : this.#estimate(device);
    const reserved = combine({ file, learnt, aperture, isAlone: this.#isAlone(device), generation });
    this.#kept.set(device.device, { file, learnt, reserved });
    return reserved;
  }

  /**
   * Remembers what the kernel answered for an IOAS with this device alone in it, or by type1 for its group. False, and
   * nothing is remembered, for an answer that allows what the platform says this device reserves: an IOMMU driver that
   * finds no memory lists fewer regions, and iommufd then enforces fewer (`drivers/iommu/iommufd/io_pagetable.c:
   * iopt_table_enforce_dev_resv_regions`). @throws HostError KernelError when sysfs cannot be read
   */
  learn(
    device: PlatformDevice,
    { backend = "iommufd", ...answer }: IovaRanges & { readonly backend?: Backend },
    source: "probe" | "ioas",
  ): boolean {
    const { regions } = readableNow(() => this.files.regions(device.group));
    if (this.#isAlone(device) && !answer.ranges.intersect(enforcedOf(regions)).isEmpty) return false;
    const known = this.#learnt.of(device);
    const isSame = known?.alignment === answer.alignment && known.ranges.equals(answer.ranges);
    if (isSame && (known.source === source || known.source === "probe")) return true;
    const aperture = apertureOf(answer.ranges, regions);
    this.#learnt.set({ ...answer, source, backend, aperture, device } satisfies Learnt);
    this.#changed(device.group, device.iommu);
    return true;
  }

  /** Remembers why the kernel has refused to bind or attach the device; null: it has not, or does so no longer. */
  refused(device: PlatformDevice, blocker: Blocker | null): void {
    this.#learnt.refused(device, blocker);
  }

  /** What was known in an earlier life. */
  takeOver(lessons: Lessons): void {
    for (const learnt of lessons.learnt) this.#learnt.set(learnt);
    for (const { device, blocker } of lessons.refusals) this.#learnt.refused(device, blocker);
    for (const [key, count] of lessons.changes) this.#changes.set(key, count);
  }

  /** Why the kernel has refused to bind or attach the device, if it has. */
  refusalOf(device: PlatformDevice): Blocker | undefined {
    return this.#learnt.refusalOf(device);
  }

  /** Forgets a device and the file of its group: whatever comes back under the name is another one. */
  forget(device: string): void {
    this.#lives.set(device, (this.#lives.get(device) ?? 0) + 1);
    this.#kept.delete(device);
    this.files.forgetDevice(device);
    this.#learnt.forget(device);
  }

  /** Forgets all, when nobody can tell what has come and gone. */
  forgetAll(): void {
    this.#purges++;
    this.#learnt.forgetAll();
    this.#estimates.clear();
    this.files.forgetAll();
  }

  /** Another number than before: what was asked of the device in between may be of another one. */
  life(device: string): number {
    return this.#purges + (this.#lives.get(device) ?? 0);
  }

  #isAlone({ group }: PlatformDevice): boolean {
    return (this.#parts.census.group(group)?.devices.size ?? 0) <= 1;
  }

  /** Another device behind the same IOMMU, or what that says of itself: a guess that the kernel has not confirmed. */
  #estimate(device: PlatformDevice): Range | null {
    return this.#learnt.apertureBehind(device.iommu) ?? this.#ownEstimate(device);
  }

  /** What an IOMMU says of itself it says for as long as the kernel runs. */
  #ownEstimate(device: PlatformDevice): Range | null {
    if (device.iommu === null) return null;
    const known = this.#estimates.get(device.iommu);
    if (known !== undefined) return known;
    const estimate = estimateAperture(this.#parts.platform.iommuTraits(device));
    this.#estimates.set(device.iommu, estimate);
    return estimate;
  }

  #generation({ group, iommu }: PlatformDevice): number {
    return 1 + (this.#changes.get(group) ?? 0) + (this.#changes.get(iommu ?? "") ?? 0);
  }

  #dropped(group: number, iommu: string | null): void {
    this.#parts.counters.invalidations++;
    this.#changed(group, iommu);
  }

  /** With an IOMMU, for all behind it: what one device learns is an estimate for the others. */
  #changed(group: number, iommu: string | null): void {
    const key = iommu ?? group;
    const count = (this.#changes.get(key) ?? 0) + 1;
    this.#changes.set(key, count);
    this.#parts.recorder.changes(key, count);
  }
}
