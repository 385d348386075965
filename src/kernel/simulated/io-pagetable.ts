import { Errno } from "./errno.ts";
import { coalesce, firstIntersecting, holes, type Interval, insert } from "./intervals.ts";

const ULONG_MAX = (1n << 64n) - 1n;

/** A mapping; `pageOffset` is where in its page the memory behind it begins. */
interface Area extends Interval {
  readonly pageOffset: bigint;
}

/** A range that must not be mapped, because of a device or a domain. */
interface Reserved extends Interval {
  readonly owner: object;
}

/** What of a domain concerns the IOAS: the addresses it translates, and the smallest page it maps, in bytes. */
export interface Domain {
  readonly aperture: Interval;
  readonly pageSize: number;
}

/**
 * One IO address space, after `drivers/iommu/iommufd/io_pagetable.c` of Linux 6.12. Pages are not pinned: a
 * mapping is its addresses only, and mapping memory that is not there succeeds. There are no transparent huge pages,
 * which only changes the addresses that an automatic mapping prefers.
 */
export class IoPagetable {
  /** PAGE_SIZE, in bytes. */
  readonly #pageSize: bigint;
  #alignment = 1n;
  #largePages = true;
  readonly #domains: Domain[] = [];
  #reserved: Reserved[] = [];
  /** `#reserved`, coalesced; undefined when that has to be done anew. */
  #reservedSpans: readonly Interval[] | undefined;
  #allowed: readonly Interval[] = [];
  #areas: Area[] = [];

  constructor(pageSize: number) {
    this.#pageSize = BigInt(pageSize);
  }

  /** The alignment of a mapping's ends, in bytes. */
  get alignment(): bigint {
    return this.#alignment;
  }

  get largePages(): boolean {
    return this.#largePages;
  }

  /** Where a mapping may be, ascending (ioas.c: iommufd_ioas_iova_ranges). */
  iovaRanges(): Interval[] {
    return holes(this.#spans(), { start: 0n, last: ULONG_MAX });
  }

  /** Replaces the list of allowed ranges, ascending and disjoint (iopt_set_allow_iova). Throws EADDRINUSE. */
  setAllowed(allowed: readonly Interval[]): void {
    const spans = this.#spans();
    if (allowed.some((range) => firstIntersecting(spans, range))) throw new Errno("EADDRINUSE");
    this.#allowed = allowed;
  }

  /** Forbids a range on behalf of `owner`; others may have done so already (iopt_reserve_iova). Throws EADDRINUSE. */
  reserve(range: Interval, owner: object): void {
    if (firstIntersecting(this.#areas, range) || firstIntersecting(this.#allowed, range)) {
      throw new Errno("EADDRINUSE");
    }
    this.#reserved.push({ start: range.start, last: range.last, owner });
    this.#reservedSpans = undefined;
  }

  /** Takes back all that `owner` reserved (iopt_remove_reserved_iova). */
  unreserve(owner: object): void {
    this.#reserved = this.#reserved.filter((reserved) => reserved.owner !== owner);
    this.#reservedSpans = undefined;
  }

  /** iopt_table_add_domain. Throws EINVAL, EADDRINUSE; then nothing has changed. */
  addDomain(domain: Domain): void {
    const alignment = max(BigInt(domain.pageSize), this.#alignment);
    if (alignment > this.#pageSize) throw new Errno("EINVAL");
    if (alignment !== this.#alignment) this.#checkAlignment(alignment);
    const { start, last } = domain.aperture;
    try {
      if (start !== 0n) this.reserve({ start: 0n, last: start - 1n }, domain);
      if (last !== ULONG_MAX) this.reserve({ start: last + 1n, last: ULONG_MAX }, domain);
    } catch (error) {
      this.unreserve(domain);
      throw error;
    }
    this.#domains.push(domain);
    this.#alignment = alignment;
  }

  /** iopt_table_remove_domain. */
  removeDomain(domain: Domain): void {
    this.#domains.splice(this.#domains.indexOf(domain), 1);
    this.unreserve(domain);
    this.#alignment = this.#calculateAlignment();
  }

  /** iopt_enable_large_pages, iopt_disable_large_pages. Throws EINVAL, EADDRINUSE. */
  setLargePages(largePages: boolean): void {
    if (!largePages && this.#largePages && this.#domains.length > 0 && this.#areas.length > 0) {
      throw new Errno("EINVAL");
    }
    const before = this.#largePages;
    this.#largePages = largePages;
    const alignment = this.#calculateAlignment();
    try {
      if (alignment > this.#alignment) this.#checkAlignment(alignment);
    } catch (error) {
      this.#largePages = before;
      throw error;
    }
    this.#alignment = alignment;
  }

  /**
   * Maps `length` bytes at `userVa` to `iova`, or to an address of its choice when that is undefined, and returns
   * the address (iopt_map_user_pages). Throws EINVAL, EOVERFLOW, EEXIST, ENOSPC.
   */
  map(iova: bigint | undefined, userVa: bigint, length: bigint): bigint {
    if (length > ULONG_MAX - this.#pageSize || length === 0n) throw new Errno("EINVAL");
    if (userVa + length > ULONG_MAX) throw new Errno("EOVERFLOW");
    if (!this.#isAligned(length)) throw new Errno("EINVAL");
    const pageOffset = userVa % this.#pageSize;
    const start = iova ?? this.#allocate(userVa, length);
    if (!this.#isAligned(start)) throw new Errno("EINVAL");
    const area = { start, last: start + length - 1n, pageOffset };
    if (area.last > ULONG_MAX) throw new Errno("EOVERFLOW");
    if (firstIntersecting(this.#spans(), area)) throw new Errno("EINVAL");
    if (firstIntersecting(this.#areas, area)) throw new Errno("EEXIST");
    if (!this.#isAligned(pageOffset)) throw new Errno("EINVAL");
    insert(this.#areas, area);
    return start;
  }

  /**
   * Unmaps every mapping in the range and returns their bytes; 0 when there are none. Throws ENOENT at one that
   * the range would cut, with those before it gone (iopt_unmap_iova_range).
   */
  unmap(range: Interval): bigint {
    let unmapped = 0n;
    for (;;) {
      const area = firstIntersecting(this.#areas, range);
      if (area === undefined) return unmapped;
      if (area.start < range.start || area.last > range.last) throw new Errno("ENOENT");
      this.#areas = this.#areas.filter((other) => other !== area);
      unmapped += area.last - area.start + 1n;
    }
  }

  #spans(): readonly Interval[] {
    this.#reservedSpans ??= coalesce(this.#reserved);
    return this.#reservedSpans;
  }

  #isAligned(value: bigint): boolean {
    return (value & (this.#alignment - 1n)) === 0n;
  }

  /** iopt_check_iova_alignment */
  #checkAlignment(alignment: bigint): void {
    const mask = alignment - 1n;
    for (const { start, last, pageOffset } of this.#areas) {
      if ((start | (last - start + 1n) | pageOffset) & mask) throw new Errno("EADDRINUSE");
    }
  }

  #calculateAlignment(): bigint {
    const sizes = this.#domains.map(({ pageSize }) => BigInt(pageSize));
    return sizes.reduce(max, this.#largePages ? 1n : this.#pageSize);
  }

  /** iopt_alloc_iova. Never 0, and never in the last page. */
  #allocate(userVa: bigint, length: bigint): bigint {
    if (length >= ULONG_MAX / 2n) throw new Errno("EOVERFLOW");
    let alignment = 1n;
    while (alignment < length && alignment < this.#pageSize) alignment *= 2n;
    while (userVa % alignment !== 0n) alignment /= 2n;
    if (alignment < this.#alignment) throw new Errno("EINVAL");
    const lowest = this.#pageSize;
    const highest = ULONG_MAX - this.#pageSize;
    const allowed = this.#allowed.length === 0 ? [{ start: 0n, last: ULONG_MAX }] : coalesce(this.#allowed);
    const used = coalesce([...this.#reserved, ...this.#areas]);
    for (const { start, last } of allowed) {
      for (const hole of holes(used, { start: max(start, lowest), last: min(last, highest) })) {
        let start = (hole.start + alignment - 1n) & ~(alignment - 1n);
        start |= userVa % this.#pageSize;
        if (start < hole.last && hole.last - start >= length - 1n) return start;
      }
    }
    throw new Errno("ENOSPC");
  }
}

const max = (a: bigint, b: bigint) => (a > b ? a : b);
const min = (a: bigint, b: bigint) => (a < b ? a : b);
