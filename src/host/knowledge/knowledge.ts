import type { IovaRanges } from "../../kernel/iommufd.ts";
import type { Range } from "../../ranges/range.ts";
import { RangeSet } from "../../ranges/range-set.ts";
import { estimateAperture } from "../platform/aperture-estimate.ts";
import type { Blocker } from "../platform/blockers.ts";
import type { Census } from "../platform/census.ts";
import type { Platform, PlatformDevice } from "../platform/platform.ts";
import type { Region } from "../platform/reserved-regions.ts";
import type { CacheCounters } from "./cache-counters.ts";
import { GroupFiles } from "./group-files.ts";
import { type Backend, type Learnt, LearntByDevice } from "./learnt.ts";
import type { Reserved } from "./reserved.ts";

/**
 * What the daemon knows of each device's reserved ranges: the group's `reserved_regions` file, and what the kernel
 * showed of a device alone in an IOAS (a probe, or a first attach). Both hold until the device is seen on another driver
 * or not at all, and what looks the same but is not is forgotten by its events.
 */
export class Knowledge {
  readonly #platform: Platform;
  readonly #census: Census;
  readonly #counters: CacheCounters;
  readonly files: GroupFiles;
  readonly #learnt: LearntByDevice;
  /** How often what is known of a group, by its number, or of the devices behind an IOMMU, by its name, has changed. */
  readonly #changes = new Map<number | string, number>();
  /** How often each device was forgotten, and how often all were. */
  readonly #lives = new Map<string, number>();
  #purges = 0;

  constructor(platform: Platform, census: Census, counters: CacheCounters) {
    this.#platform = platform;
    this.#census = census;
    this.#counters = counters;
    this.files = new GroupFiles(platform, census, (group) => this.#dropped(group, null));
    this.#learnt = new LearntByDevice(({ device: { group, iommu } }) => this.#dropped(group, iommu));
  }

  /** `listed`: what the proposed ioctl lists for the device, where there is one and the device is held. */
  reserved(device: PlatformDevice, listed?: RangeSet): Reserved {
    const { regions, truncated, cached } = this.files.answer(device.group);
    const enforced = enforcedOf(regions);
    const learnt = this.#learnt.of(device);
    const aperture = learnt ? learnt.aperture : this.#estimate(device);
    const alone = this.#isAlone(device);
    const common = {
      regions,
      backend: learnt?.backend ?? null,
      scope: "device" as const,
      aperture,
      apertureSource: learnt?.source ?? (aperture ? ("estimate" as const) : ("unknown" as const)),
      alignment: learnt?.alignment ?? null,
      cached,
      generation: this.#generation(device),
    };
    if (listed) {
      const excluded = listed.union(learnt?.ranges.invert() ?? RangeSet.EMPTY);
      const own = ownRegions(regions, listed);
      return {
        ...common,
        source: "resv-iova-ranges",
        backend: "iommufd",
        regions: own,
        cached: false,
        truncated: false,
        excluded,
        uncertain: RangeSet.EMPTY,
      };
    }
    if (learnt) {
      const excluded = learnt.ranges.invert();
      const exact = { ...common, truncated: false, excluded, uncertain: RangeSet.EMPTY };
      if (learnt.source === "ioas") return { ...exact, source: "sysfs", scope: "group" };
      const scope = learnt.backend === "vfio-type1" && !alone ? "group" : "device";
      return { ...exact, source: "probe", scope, regions: ownRegions(regions, excluded) };
    }
    return {
      ...common,
      source: "sysfs",
      scope: "group",
      truncated,
      excluded: alone ? enforced : RangeSet.EMPTY,
      uncertain: alone ? RangeSet.EMPTY : enforced,
    };
  }

  /**
   * Remembers what the kernel answered for an IOAS with this device alone in it, or by type1 for its group. False, and
   * nothing is remembered, for an answer that allows what the platform says this device reserves: an IOMMU driver that
   * finds no memory lists fewer regions, and iommufd then enforces fewer (`drivers/iommu/iommufd/io_pagetable.c:
   * iopt_table_enforce_dev_resv_regions`).
   */
  learn(
    device: PlatformDevice,
    { backend = "iommufd", ...answer }: IovaRanges & { readonly backend?: Backend },
    source: "probe" | "ioas",
  ): boolean {
    const { regions } = this.files.regions(device.group);
    if (this.#isAlone(device) && !answer.ranges.intersect(enforcedOf(regions)).isEmpty) return false;
    const known = this.#learnt.of(device);
    const isSame = known?.alignment === answer.alignment && known.ranges.equals(answer.ranges);
    if (isSame && (known.source === source || known.source === "probe")) return true;
    const aperture = apertureOf(answer.ranges, regions);
    this.#learnt.set({ ...answer, source, backend, aperture, device } satisfies Learnt);
    this.#changed(device.group, device.iommu);
    return true;
  }

  /** Remembers why the kernel has refused to bind the device; null: it has bound it. */
  refused(device: PlatformDevice, blocker: Blocker | null): void {
    this.#learnt.refused(device, blocker);
  }

  /** Why the kernel has refused to bind the device, if it has. */
  refusalOf(device: PlatformDevice): Blocker | undefined {
    return this.#learnt.refusalOf(device);
  }

  /** Forgets a device and the file of its group: whatever comes back under the name is another one. */
  forget(device: string): void {
    this.#lives.set(device, (this.#lives.get(device) ?? 0) + 1);
    this.files.forgetDevice(device);
    this.#learnt.forget(device);
  }

  /** Forgets all, when nobody can tell what has come and gone. */
  forgetAll(): void {
    this.#purges++;
    this.#learnt.forgetAll();
    this.files.forgetAll();
  }

  /** Another number than before: what was asked of the device in between may be of another one. */
  life(device: string): number {
    return this.#purges + (this.#lives.get(device) ?? 0);
  }

  #isAlone({ group }: PlatformDevice): boolean {
    return (this.#census.group(group)?.devices.size ?? 0) <= 1;
  }

  /** Another device behind the same IOMMU, or what that says of itself: a guess that the kernel has not confirmed. */
  #estimate(device: PlatformDevice): Range | null {
    return this.#learnt.apertureBehind(device.iommu) ?? estimateAperture(this.#platform.iommuTraits(device));
  }

  #generation({ group, iommu }: PlatformDevice): number {
    return 1 + (this.#changes.get(group) ?? 0) + (this.#changes.get(iommu ?? "") ?? 0);
  }

  #dropped(group: number, iommu: string | null): void {
    this.#counters.invalidations++;
    this.#changed(group, iommu);
  }

  /** With an IOMMU, for all behind it: what one device learns is an estimate for the others. */
  #changed(group: number, iommu: string | null): void {
    const key = iommu ?? group;
    this.#changes.set(key, (this.#changes.get(key) ?? 0) + 1);
  }
}

function enforcedOf(regions: readonly Region[]): RangeSet {
  return RangeSet.from(regions.filter((region) => region.enforced));
}

/** Those parts of the group's regions that the kernel does enforce for this device; relaxable ones leave no trace. */
function ownRegions(regions: readonly Region[], excluded: RangeSet): Region[] {
  return regions.flatMap((region) => {
    if (!region.enforced) return [region];
    return [...excluded.intersect(RangeSet.from([region]))].map((part) => ({ ...region, ...part }));
  });
}

/**
 * The aperture behind an answer. Its ends are the ends of the answer, moved outwards over reserved regions that adjoin
 * them: whether the aperture cuts such a region nobody can see, and it makes no difference to what is excluded.
 */
function apertureOf(allowed: RangeSet, regions: readonly Region[]): Range | null {
  const hull = allowed.hull();
  if (hull === null) return null;
  const reach = allowed.union(enforcedOf(regions));
  const outwards = [...reach].filter((range) => range.start <= hull.last && hull.start <= range.last);
  const first = outwards[0] ?? hull;
  const last = outwards.at(-1) ?? hull;
  return { start: first.start, last: last.last };
}
